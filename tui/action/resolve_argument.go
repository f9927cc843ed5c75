package action

import (
	"strings"

	"unibus/core"
	"unibus/core/cluster"
	"unibus/tui/feed"
)

// Resolve makes a selection from the argument after an action's name. Without an
// argument the page's selection applies. LookUp does it for users, and for rooms that are not listed.
func (a Action) Resolve(snap *feed.Snapshot, arg string, page Selection) (Selection, error) {
	switch {
	case arg == "":
		return page, nil
	case a.ArgumentKind == KindRoom:
		id, err := resolveRoom(arg)
		return Selection{Kind: KindRoom, IDs: []string{id}}, err
	case a.ArgumentKind == KindBucket:
		id, err := resolveBucket(snap, arg)
		return Selection{Kind: KindBucket, IDs: []string{id}}, err
	case a.ArgumentKind == KindNode:
		id, err := resolveNode(snap, arg)
		return Selection{Kind: KindNode, IDs: []string{id}}, err
	}
	return page, core.Errorf(core.KindInvalid, "%q takes no argument", a.Name)
}

// errNoStatus refuses a name that cannot be looked up yet.
func errNoStatus() error {
	return core.Errorf(core.KindUnavailable, "no node has answered yet").WithNext("try again once the overview shows the nodes")
}

// resolveNode also accepts a member of the meta group that is no node: no page lists it.
func resolveNode(snap *feed.Snapshot, arg string) (string, error) {
	if !snap.Status.Known() {
		return "", errNoStatus()
	}
	if cluster.IsKnown(snap.Status.Value.View, arg) {
		return arg, nil
	}
	return "", core.Errorf(core.KindNotFound, "no node is named %q", arg).WithNext("the nodes page lists them")
}

func resolveBucket(snap *feed.Snapshot, arg string) (string, error) {
	if !snap.Status.Known() {
		return "", errNoStatus()
	}
	for _, b := range snap.Status.Value.AllBuckets() {
		if strings.EqualFold(b.Name, arg) || strings.EqualFold(strings.TrimPrefix(b.Name, "UNIBUS_"), arg) {
			return b.Name, nil
		}
	}
	return "", core.Errorf(core.KindNotFound, "there is no bucket %q", arg).WithNext("the buckets page lists them")
}

// resolveRoom accepts any name that a room can have: LookUp asks for one that is not listed.
func resolveRoom(arg string) (string, error) {
	id, err := core.ParseRoomID(arg)
	return string(id), err
}
