package kv

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"unibus/core"
)

// sortedPairs is what a sorter hands out, as "key=value@rev".
func sortedPairs(s *sorter) (out []string, err error) {
	err = s.each(func(e entry) error {
		out = append(out, fmt.Sprintf("%s=%s@%d", e.key, e.value, e.rev))
		return nil
	})
	return out, err
}

// The newest value of each key comes out, in order, whatever the order of the input and however little fits into
// memory.
func TestSorterAgainstAMap(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		s := newSorter(dir, rapid.IntRange(1, 2000).Draw(t, "budget"))
		defer s.close()
		n := rapid.IntRange(0, 200).Draw(t, "entries")
		order := rapid.Permutation(slices.Collect(func(yield func(uint64) bool) {
			for rev := range n {
				if !yield(uint64(rev + 1)) {
					return
				}
			}
		})).Draw(t, "order")
		if rapid.Bool().Draw(t, "as written") {
			slices.Sort(order)
		}
		newest := map[string]entry{}
		for _, rev := range order {
			e := entry{
				rev: rev, deleted: rapid.IntRange(0, 4).Draw(t, "deleted") == 0,
				key:   rapid.StringMatching(`[a-c.-]{1,3}`).Draw(t, "key"),
				value: []byte(strings.Repeat("v", rapid.SampledFrom([]int{0, 1, 40, 20_000}).Draw(t, "length"))),
			}
			if err := s.add(e); err != nil {
				t.Fatal(err)
			}
			if e.rev > newest[e.key].rev {
				newest[e.key] = e
			}
		}
		var want []string
		for _, key := range slices.Sorted(maps.Keys(newest)) {
			if e := newest[key]; !e.deleted {
				want = append(want, fmt.Sprintf("%s=%s@%d", e.key, e.value, e.rev))
			}
		}
		for range 2 { // it may be read again
			got, err := sortedPairs(s)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got, want) {
				t.Fatalf("%s", cmp.Diff(want, got))
			}
		}
	})
	left, err := os.ReadDir(dir)
	mustDo(t, err)
	if len(left) > 0 {
		t.Errorf("files are left: %v", left)
	}
}

func TestSorterSpillsNothingThatFits(t *testing.T) {
	t.Parallel()
	s := newSorter(filepath.Join(t.TempDir(), "never made"), 0)
	defer s.close()
	for i := range 1000 {
		mustDo(t, s.add(entry{key: fmt.Sprint("k", i), value: make([]byte, 300), rev: uint64(i)}))
	}
	if got := must[[]string](t)(sortedPairs(s)); len(got) != 1000 || s.file != nil {
		t.Errorf("%d of 1000 came, with the file %v", len(got), s.file)
	}
	if _, err := os.Stat(s.dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a directory was made: %v", err)
	}
}

// Records that come in key order, as a copy wrote them, are one run, however many they are.
func TestSorterProlongsARun(t *testing.T) {
	t.Parallel()
	s := newSorter(t.TempDir(), 4000)
	defer s.close()
	for i := range 5000 {
		mustDo(t, s.add(entry{key: fmt.Sprintf("k%09d", i), value: []byte("x"), rev: uint64(i)}))
		if used := cap(s.text) + cap(s.items)*itemBytes; used > 3*s.budget {
			t.Fatalf("%d bytes are held, with a budget of %d", used, s.budget)
		}
	}
	if got := must[[]string](t)(sortedPairs(s)); len(got) != 5000 || len(s.runs) != 1 {
		t.Errorf("%d rows in %d runs", len(got), len(s.runs))
	}
}

// spilled is a sorter with some runs in its file.
func spilled(t *testing.T) *sorter {
	t.Helper()
	s := newSorter(t.TempDir(), 30_000)
	t.Cleanup(s.close)
	for i := range 1000 {
		mustDo(t, s.add(entry{key: fmt.Sprint("k", i*7919%1000), value: []byte(strings.Repeat("v", 100)), rev: uint64(i + 1)}))
	}
	mustDo(t, s.spill())
	return s
}

// flip changes one bit of the file.
func (s *sorter) flip(t *testing.T, at int64) {
	t.Helper()
	var b [1]byte
	_, err := s.file.ReadAt(b[:], at)
	mustDo(t, err)
	b[0] ^= 1
	_, err = s.file.WriteAt(b[:], at)
	mustDo(t, err)
}

func TestSorterNoticesDamage(t *testing.T) {
	t.Parallel()
	s := spilled(t)
	if _, err := sortedPairs(s); err != nil || len(s.runs) < 3 {
		t.Fatalf("undamaged: %v, %d runs", err, len(s.runs))
	}
	for at := int64(0); at < s.size; at += 997 {
		s.flip(t, at)
		_, err := sortedPairs(s)
		wantKind(t, err, core.KindFailed)
		s.flip(t, at)
	}
	if _, err := sortedPairs(s); err != nil {
		t.Fatalf("mended: %v", err)
	}
	mustDo(t, s.file.Truncate(s.size-1))
	_, err := sortedPairs(s)
	wantKind(t, err, core.KindFailed)
	if err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("a file that was cut off: %v", err)
	}
}

// A whole block in another's place has a good checksum of its own.
func TestSorterNoticesABlockInAnothersPlace(t *testing.T) {
	t.Parallel()
	s := spilled(t)
	block := make([]byte, blockBytes)
	_, err := s.file.ReadAt(block, 0)
	mustDo(t, err)
	_, err = s.file.WriteAt(block, s.runs[1].off)
	mustDo(t, err)
	_, err = sortedPairs(s)
	wantKind(t, err, core.KindFailed)
}

func TestSorterOnAFullDisk(t *testing.T) {
	t.Parallel()
	full, err := os.OpenFile("/dev/full", os.O_RDWR, 0)
	mustDo(t, err)
	s := newSorter(t.TempDir(), 100)
	s.file = full
	defer s.close()
	err = s.add(entry{key: "a", value: make([]byte, 100)})
	mustDo(t, err)
	err = s.add(entry{key: "b"})
	wantKind(t, err, core.KindFailed)
	if err == nil || !strings.Contains(err.Error(), "no space in "+s.dir) {
		t.Errorf("a full disk: %v", err)
	}
}

func TestSorterWithoutADirectory(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	mustDo(t, os.WriteFile(file, nil, 0o600))
	s := newSorter(filepath.Join(file, "below"), 1)
	defer s.close()
	mustDo(t, s.add(entry{key: "a"}))
	wantKind(t, s.add(entry{key: "b"}), core.KindFailed)
}

// Nobody else can read the file, and it has no name.
func TestSorterFileIsPrivate(t *testing.T) {
	t.Parallel()
	s := spilled(t)
	info, err := s.file.Stat()
	mustDo(t, err)
	names, err := os.ReadDir(s.dir)
	mustDo(t, err)
	if info.Mode().Perm() != 0o600 || len(names) != 0 {
		t.Errorf("mode %v, names %v", info.Mode(), names)
	}
}
