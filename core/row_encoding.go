package core

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
)

// The tables that are large (members, their index, room keys) are encoded by
// hand: a migration encodes every row of them several times, and reflection was a
// third of that cost. TestEncodedByHand holds them to encoding/json.

// appender is a value that writes its own canonical JSON.
type appender interface{ appendTo(b []byte) []byte }

func (v keyValue) appendTo(b []byte) []byte {
	b = appendBytes(appendVersion(b, v.V), "box", v.Box)
	b = appendOptional(b, "sealed_by", v.SealedBy)
	return append(strconv.AppendInt(append(b, `,"created":`...), int64(v.Created), 10), '}')
}

func (v memberValue) appendTo(b []byte) []byte {
	b = appendText(append(appendVersion(b, v.V), `,"role":`...), string(v.Role))
	b = appendText(append(b, `,"state":`...), string(v.State))
	b = appendOptional(b, "invited_by", v.InvitedBy)
	if v.Proof != nil {
		b = appendBytes(b, "proof", v.Proof)
	}
	return append(strconv.AppendInt(append(b, `,"joined":`...), int64(v.Joined), 10), '}')
}

func (v indexValue) appendTo(b []byte) []byte {
	return append(appendText(append(appendVersion(b, v.V), `,"state":`...), string(v.State)), '}')
}

func appendVersion(b []byte, v int) []byte {
	return strconv.AppendInt(append(b, `{"v":`...), int64(v), 10)
}

func appendName(b []byte, name string) []byte {
	return append(append(append(b, `,"`...), name...), `":`...)
}

func appendBytes(b []byte, name string, v []byte) []byte {
	b = appendName(b, name)
	if v == nil {
		return append(b, "null"...)
	}
	return append(base64.StdEncoding.AppendEncode(append(b, '"'), v), '"')
}

func appendOptional(b []byte, name string, s *string) []byte {
	if s == nil {
		return b
	}
	return appendText(appendName(b, name), *s)
}

// appendText quotes plain ASCII itself and leaves the rest to encoding/json.
func appendText(b []byte, s string) []byte {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' || s[i] == '"' || s[i] == '\\' {
			return append(b, encoded(s)...)
		}
	}
	return append(append(append(b, '"'), s...), '"')
}

// encoded is v as encoding/json writes it, without its escapes for HTML. v holds no type that cannot be encoded.
func encoded(v any) []byte {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic(fmt.Sprintf("core: encoding %T: %v", v, err))
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n"))
}
