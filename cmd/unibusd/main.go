// Command unibusd runs one node of a unibus cluster, and is the operator's command line
// for all of them. It holds flags, signals and exit codes; the packages below core do
// the work.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	_ "time/tzdata" // backup-zone: a container has no zones of its own

	"github.com/spf13/cobra"

	"unibus/cmd/cli"
)

// version is set by the linker.
var version = "dev"

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return cli.Execute(ctx, root(), version, os.Args[1:])
}

func root() *cobra.Command {
	c := cli.Group("unibusd", "A message bus for small clusters, in one process a node",
		serveCommand(), demoCommand(),
		userCommand(), sessionCommand(), operatorCommand(), roomCommand(), nodeCommand(), bucketCommand(), stepDownCommand(),
		migrateCommand(), migrationCommand(),
		guideCommand(), doctorCommand(), eventsCommand(), auditCommand(), rolloutCommand(), backupCommand(), restoreCommand(), supportBundleCommand(),
		keygenCommand(), certCommand(), clusterKeyCommand(), flagsCommand(), versionCommand(),
	)
	c.Long = "unibusd embeds a NATS server with JetStream, keeps users, rooms and sealed room keys,\n" +
		"and decides who may connect. Start with unibusd demo, or unibusd serve."
	addExamples(c)
	cli.Complete(c, completions())
	return c
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: cli.Args(),
		RunE: func(c *cobra.Command, _ []string) error {
			c.Println("unibusd", version)
			return nil
		},
	}
}
