package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"unibus/cmd/cli"
	"unibus/core"
	"unibus/tui/theme"
)

// configDocument is what `unibus-tui config --json` prints.
type configDocument struct {
	File     string         `json:"file"`
	Settings []setting      `json:"settings"`
	Keys     []keySetting   `json:"keys"`
	Contexts []knownContext `json:"contexts"`
	Skins    []skinSetting  `json:"skins"`
}

type keySetting struct {
	Does string `json:"does"`
	Page string `json:"page,omitempty"`
	Key  string `json:"key"`
	From string `json:"from"`
}

// skinSetting is a skin, and what is wrong with it.
type skinSetting struct {
	Name        string   `json:"name"`
	From        string   `json:"from"`
	LowContrast []string `json:"low_contrast,omitempty"` // colors that cannot be read well
	Error       string   `json:"error,omitempty"`
}

func configCommand() *cobra.Command {
	var o consoleFlags
	var asJSON bool
	c := &cobra.Command{
		Use: "config", Short: "Print the settings in force, and where each was given", Args: cli.Args(),
		RunE: func(c *cobra.Command, _ []string) error {
			f, err := o.load(c.Flags())
			if err != nil {
				return err
			}
			doc := f.document()
			if asJSON {
				return cli.PrintJSON(c.OutOrStdout(), doc)
			}
			return doc.print(c.OutOrStdout())
		},
	}
	c.Example = "unibus-tui config\nunibus-tui config --json --theme light"
	o.flags(c.Flags())
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON document, errors included")
	return c
}

func (f inForce) document() configDocument {
	doc := configDocument{File: f.file.Path, Settings: f.settings, Contexts: knownContexts(f.file)}
	for i, s := range doc.Settings {
		if s.Name == "theme" && os.Getenv("NO_COLOR") != "" {
			doc.Settings[i] = setting{Name: "theme", Value: string(theme.Mono), From: "environment: NO_COLOR"}
		}
	}
	for _, b := range f.keys.Bindings() {
		k := keySetting{Does: b.Name, Page: string(b.Page), Key: b.Key, From: fromDefault}
		if f.file.Has("keys." + b.Name) {
			k.From = f.file.Where("keys." + b.Name)
		}
		doc.Keys = append(doc.Keys, k)
	}
	for _, m := range theme.Modes() {
		if m != theme.Auto {
			doc.Skins = append(doc.Skins, skinSetting{Name: string(m), From: fromDefault})
		}
	}
	for _, s := range f.skins {
		doc.Skins = append(doc.Skins, skinSetting{Name: string(s.Name), From: f.skinFiles[s.Name], LowContrast: s.LowContrasts()})
	}
	for _, bad := range f.badSkins {
		doc.Skins = append(doc.Skins, skinSetting{From: "not used", Error: core.AsError(bad).Text})
	}
	return doc
}

// print writes the document as tables, the settings first.
func (d configDocument) print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "SETTING\tVALUE\tFROM\n")
	for _, s := range d.Settings {
		fmt.Fprintf(t, "%s\t%s\t%s\n", s.Name, orDash(s.Value), s.From)
	}
	fmt.Fprintf(t, "\t\t\nKEY\tDOES\tFROM\n")
	for _, k := range d.Keys {
		does := k.Does
		if k.Page != "" {
			does += " (on " + k.Page + ")"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\n", k.Key, does, k.From)
	}
	fmt.Fprintf(t, "\t\t\nTHEME\tNOTE\tFROM\n")
	for _, s := range d.Skins {
		note := s.Error
		if len(s.LowContrast) > 0 {
			note = "hard to read: " + strings.Join(s.LowContrast, ", ")
		}
		fmt.Fprintf(t, "%s\t%s\t%s\n", orDash(s.Name), orDash(note), s.From)
	}
	fmt.Fprintf(t, "\t\t\nCONTEXT\tSERVERS\tFROM\n")
	for _, c := range d.Contexts {
		fmt.Fprintf(t, "%s\t%s\t%s\n", c.Name, orDash(core.VisibleText(strings.Join(c.Servers, ","))), c.From)
	}
	if len(d.Contexts) == 0 {
		fmt.Fprintf(t, "-\t-\tnone; the console asks for one when it is started without flags\n")
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\nThe settings file is %s.\n", d.File)
	return err
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return core.VisibleText(s)
}
