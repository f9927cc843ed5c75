// Package nemesis tests real processes under real faults: networks that are cut,
// processes that are killed or stand still, disks that are full. It holds tests
// alone, which need root and minutes: `make nemesis` runs them, `make test` does not.
package nemesis
