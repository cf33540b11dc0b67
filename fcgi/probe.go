package fcgi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

// Capabilities are what an application says of itself when asked with
// FCGI_GET_VALUES (§4.1). What it did not say is zero.
type Capabilities struct {
	MaxConns    int
	MaxRequests int
	Multiplex   bool  // FCGI_MPXS_CONNS
	Window      int64 // bytes it grants each input stream; 0: no flow control (see FRONTD_FLOW)
	Hold        bool  // it takes input on demand (see FRONTD_HOLD)
	Answered    bool  // false: it said nothing, which §4.1 tolerates
}

// maxValues bounds an FCGI_GET_VALUES_RESULT: four short pairs and their like.
const maxValues = 4 << 10

// quietTime is how long an application that has read the question may be
// silent before it counts as one that does not answer FCGI_GET_VALUES.
const quietTime = time.Second

// Probe asks the application behind nc for its capabilities, and so whether it
// is there: it returns when the application has answered, or has read the
// question and stays silent, or has closed the connection after reading it.
// It does not close nc.
func Probe(ctx context.Context, nc net.Conn) (Capabilities, error) {
	stop := context.AfterFunc(ctx, func() { nc.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	answer := make(chan error, 1)
	var caps Capabilities
	go func() {
		// Its end is received below, in every branch.
		var err error
		caps, err = getValues(nc, NewRecordReader(nc))
		answer <- err
	}()
	tick := time.NewTicker(quietTime / 20)
	defer tick.Stop()
	var readSince time.Time
	for {
		select {
		case err := <-answer:
			return probed(ctx, nc, caps, err)
		case now := <-tick.C:
			if !questionRead(nc) {
				continue // not accepted yet, or not read
			}
			if readSince.IsZero() {
				readSince = now
			}
			if now.Sub(readSince) >= quietTime {
				nc.SetDeadline(time.Unix(1, 0))
				if err := <-answer; err == nil {
					return caps, nil // at this very moment
				}
				return Capabilities{}, context.Cause(ctx)
			}
		}
	}
}

// probed weighs how a question ended.
func probed(ctx context.Context, nc net.Conn, caps Capabilities, err error) (Capabilities, error) {
	var protocol *ProtocolError
	switch {
	case err == nil:
		return caps, nil
	case ctx.Err() != nil:
		return Capabilities{}, context.Cause(ctx)
	case errors.As(err, &protocol):
		return Capabilities{}, err
	case err == io.EOF:
		// It read the question and closed: a runtime that knows no management
		// records. A listener's death resets the connection instead.
		return Capabilities{}, nil
	}
	return Capabilities{}, fmt.Errorf("fcgi: probe application: %w", err)
}

// getValues asks and waits for the result. It leaves rr after it.
func getValues(nc net.Conn, rr *RecordReader) (Capabilities, error) {
	var ask Params
	ask.Add(ValueMaxConns, "")
	ask.Add(ValueMaxReqs, "")
	ask.Add(ValueMpxsConn, "")
	ask.Add(ValueFlow, strconv.Itoa(DefaultWindow))
	ask.Add(ValueHold, "1")
	if _, err := nc.Write(paddedRecord(TypeGetValues, ask.buf)); err != nil {
		return Capabilities{}, err
	}
	for {
		h, err := rr.Next()
		if err != nil {
			return Capabilities{}, err
		}
		switch {
		case h.ID != ManagementID:
			return Capabilities{}, protocolErrorf("%v before any request began", h)
		case h.Type == TypeUnknownType:
			return Capabilities{}, nil
		case h.Type != TypeGetValuesResult:
			continue
		}
		b, err := rr.Fixed(h, maxValues)
		if err != nil {
			return Capabilities{}, err
		}
		return parseCapabilities(b)
	}
}

// paddedRecord returns a management record that has padding whatever its
// length: libfcgi answers FCGI_GET_VALUES only when a byte follows its content.
func paddedRecord(t Type, content []byte) []byte {
	b := AppendHeader(nil, t, ManagementID, len(content))
	if b[6] == 0 {
		b[6] = 8
	}
	n := int(b[6])
	return append(append(b, content...), zeros[:n]...)
}

func parseCapabilities(b []byte) (Capabilities, error) {
	caps := Capabilities{Answered: true}
	for len(b) > 0 {
		name, value, rest, ok := cutPair(b)
		if !ok {
			return caps, protocolErrorf("GET_VALUES_RESULT ends within a pair (§3.4)")
		}
		b = rest
		n, err := strconv.Atoi(value)
		if err != nil || n < 0 {
			continue // a value we do not understand says nothing
		}
		switch name {
		case ValueMaxConns:
			caps.MaxConns = n
		case ValueMaxReqs:
			caps.MaxRequests = n
		case ValueMpxsConn:
			caps.Multiplex = n == 1
		case ValueHold:
			caps.Hold = n == 1
		case ValueFlow:
			caps.Window = min(int64(n), MaxWindow)
		}
	}
	return caps, nil
}
