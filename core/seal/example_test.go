package seal_test

import (
	"errors"
	"fmt"

	"github.com/nats-io/nkeys"

	"unibus/core"
	"unibus/core/seal"
)

// device is what a user has: an nkey, and a KEM key made on the device.
type device struct {
	nkeys.KeyPair
	kem *seal.KEM
}

func (d device) Public() string  { p, _ := d.PublicKey(); return p }
func (d device) id() core.UserID { return core.UserID(d.Public()) }

func newDevice() (device, seal.KEMKey) {
	pair, _ := nkeys.CreateUser()
	kem, _ := seal.NewKEM()
	d := device{pair, kem}
	published, _ := kem.Publish(d, 1)
	key, _ := seal.ParseKEMKey(d.id(), published)
	return d, key
}

// Two members, one epoch, one message; then ann rekeys without bob.
func Example() {
	ann, annKey := newDevice()
	bob, bobKey := newDevice()

	// ann makes the room's first key; the store keeps first.Record and first.Keys.
	first, err := seal.MakeRecord(seal.RecordConfig{
		Room: "lobby", Epoch: 1, Rec: seal.NewRec(), Key: seal.NewRoomKey(),
		Members: []seal.KEMKey{annKey, bobKey}, By: ann, At: 1, Reason: seal.ReasonFirst,
	})
	fmt.Println("made:", err)

	// bob follows the record, and opens the box that the store gave him.
	chain := seal.NewChain("lobby")
	record, _ := chain.TrustFirst(first.Record)
	box := first.Keys[0]
	if box.User != bob.id() {
		box = first.Keys[1]
	}
	opened, err := seal.OpenBox(record, box, bob.id(), bob.kem)
	fmt.Println("opened:", err)

	out, _ := seal.NewSender(seal.SenderConfig{Key: first.Key, By: ann})
	in := seal.NewReceiver(seal.ReceiverConfig{Room: "lobby"})
	_ = in.Advance(opened.Key)
	message, _ := out.Seal([]byte("hello"), 1)
	got, err := in.Open(ann.id(), message)
	fmt.Printf("read: %s %v\n", got.Text, err)
	_, err = in.Open(ann.id(), message)
	fmt.Println("again:", errors.Is(err, seal.ErrReplay))

	second, _ := seal.MakeRecord(seal.RecordConfig{
		Room: "lobby", Epoch: 2, Rec: seal.NewRec(), Key: seal.NewRoomKey(),
		Members: []seal.KEMKey{annKey}, By: ann, At: 2, Reason: seal.ReasonRemoved, PrevKey: first.Key,
	})
	out, _ = seal.NewSender(seal.SenderConfig{Key: second.Key, By: ann})
	message, _ = out.Seal([]byte("without bob"), 2)
	_, err = in.Open(ann.id(), message)
	fmt.Println("bob, afterwards:", errors.Is(err, seal.ErrFutureEpoch))

	// Output:
	// made: <nil>
	// opened: <nil>
	// read: hello <nil>
	// again: true
	// bob, afterwards: true
}
