package webhook

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// queued is a message that waits for a receiver, as the file has it. The receiver's address is there
// as a hash: it may have a token in it.
type queued struct {
	Receiver string          `json:"receiver"`
	Delivery string          `json:"delivery"`
	At       time.Time       `json:"at"`
	Body     json.RawMessage `json:"body"`
}

// maxFile is more bytes than full queues take.
const maxFile = 16 << 20

func receiverHash(url string) string {
	sum := sha256.Sum256([]byte(url))
	return hex.EncodeToString(sum[:])
}

// note keeps a message until it is delivered or given up, also across an end of the process.
func (s *Sender) note(r *receiver, d delivery) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting = append(s.waiting, queued{receiverHash(r.url), d.id, d.at, d.body})
	s.save()
}

func (s *Sender) forget(r *receiver, d delivery) {
	s.mu.Lock()
	defer s.mu.Unlock()
	hash := receiverHash(r.url)
	s.waiting = slices.DeleteFunc(s.waiting, func(q queued) bool { return q.Receiver == hash && q.Delivery == d.id })
	s.save()
}

// save writes what waits into the file. The caller holds mu.
func (s *Sender) save() {
	if s.cfg.File == "" {
		return
	}
	err := s.replaceFile()
	if err != nil {
		s.cfg.Logger.Warn("messages for webhooks that wait cannot be kept on disk; an end of the node would lose them", "file", s.cfg.File, "error", err)
	}
}

func (s *Sender) replaceFile() error {
	if len(s.waiting) == 0 {
		if err := os.Remove(s.cfg.File); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	data, err := json.Marshal(s.waiting)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(s.cfg.File), filepath.Base(s.cfg.File)+".*") // 0600
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), s.cfg.File)
	}
	if err != nil {
		err = errors.Join(err, os.Remove(f.Name()))
	}
	return err
}

// load queues what a process before this one has not delivered. A file that cannot be read is
// told, and is replaced with the next message.
func (s *Sender) load() {
	if s.cfg.File == "" {
		return
	}
	old, err := readQueue(s.cfg.File)
	if err != nil {
		s.cfg.Logger.Error("the messages for webhooks that an earlier run has kept cannot be read, and are not sent", "file", s.cfg.File, "error", err)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, q := range old {
		i := slices.IndexFunc(s.receivers, func(r *receiver) bool { return receiverHash(r.url) == q.Receiver })
		if i < 0 {
			s.cfg.Logger.Warn("a message is kept for a webhook that is not configured any more, and is dropped", "delivery", q.Delivery)
			continue
		}
		select {
		case s.receivers[i].queue <- delivery{id: q.Delivery, body: q.Body, at: q.At}:
			s.waiting = append(s.waiting, q)
		default:
			s.cfg.Logger.Error("a webhook does not take what it is told, and misses a message", "receiver", s.receivers[i].name, "delivery", q.Delivery)
		}
	}
	s.save()
}

func readQueue(path string) (old []queued, err error) {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular() || info.Size() > maxFile:
		return nil, errors.New("it is not a file that unibusd has written")
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return old, json.Unmarshal(data, &old)
}
