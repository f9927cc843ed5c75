package control

import (
	"unibus/core"
	"unibus/core/request"
)

// decode reads a request of this version strictly. KindInvalid.
func decode[Req any](body []byte) (Req, error) {
	var req Req
	var outer question
	if err := request.Decode(body, &outer); err != nil {
		return req, err
	}
	if outer.V != version {
		return req, core.Errorf(core.KindInvalid, "the request has version %d, and this node speaks %d", outer.V, version).
			WithNext("use a client of the nodes' own version")
	}
	if len(outer.Req) == 0 {
		return req, nil
	}
	return req, request.Decode(outer.Req, &req)
}
