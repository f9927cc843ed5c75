// Package support makes the support bundle. An operator sends it to people who help and must
// not learn a secret from it. fields.txt is the list of what may be in it; Filter leaves
// everything else out. core/node fills in a Report of itself, cmd/unibusd collects and writes
// the Bundle. Begin reading at fields.txt and Filter.
package support
