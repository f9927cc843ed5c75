// Package nemesis tests real processes under real faults: networks that are cut,
// processes that are killed or paused, disks that are full. It contains only tests,
// which need root and minutes: `make nemesis` runs them, `make test` does not.
// Begin reading with migration_fixture_test.go, which all migrations share.
package nemesis
