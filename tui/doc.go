// Package tui is the operators' console: it shows the truth about a cluster and
// drives what an operator does. This package is the root model (routing, focus,
// overlays, size); what is known comes from tui/feed, what can be done from
// tui/action, what is drawn from the packages under tui/page.
package tui
