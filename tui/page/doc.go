// Package page is the contract between the root model and the pages.
//
// The root model calls a Page to draw it and to handle keys; each package below this
// one implements it. A page keeps only what the operator looks at, such as a cursor or
// an open row. Everything about the cluster comes in with the RenderContext, so a page
// does no I/O. Pages never import each other.
//
// List implements most of Page for every page that lists rows and opens one of them.
// The other files hold what several pages draw alike.
//
// Begin reading with Page in page.go, then List, then page/buckets as an example.
package page
