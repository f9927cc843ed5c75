package node

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"

	"unibus/core/keys"
)

// readDecisions reads a list of decisions that every node keeps in its data
// directory; nil if there is no file yet.
func readDecisions[T any](path string) ([]T, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all []T
	err = json.NewDecoder(bytes.NewReader(data)).Decode(&all)
	return all, err
}

// writeDecisions replaces the file, synced.
func writeDecisions[T any](path string, all []T) error {
	data, err := json.MarshalIndent(all, "", " ")
	if err != nil {
		return err
	}
	return keys.Replace(path, append(data, '\n'))
}
