package configs_test

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
)

// A seen request is what the FastCGI side got, in the answer's body.
type seen struct {
	Env    map[string]string
	Size   int
	Sha256 string
}

// startResponder answers every request at l with what it saw. It shares no
// code with the project's own FastCGI, which is not what is tested here.
func startResponder(t *testing.T, l net.Listener) {
	var wg sync.WaitGroup
	var mu sync.Mutex // guards conns
	conns := map[net.Conn]bool{}
	wg.Add(1)
	go func() {
		// Received by wg.Wait below, once the listener is closed.
		defer wg.Done()
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns[c] = true
			mu.Unlock()
			wg.Add(1)
			go func() {
				// Received by wg.Wait below, once the connection is closed.
				defer wg.Done()
				defer c.Close()
				if err := respond(c); err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) {
					t.Logf("responder: %v", err)
				}
			}()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for c := range conns {
			c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
}

// Record types (FastCGI §8).
const (
	beginRequest = 1
	endRequest   = 3
	params       = 4
	stdin        = 5
	stdout       = 6
)

// respond serves one request after the other, until one says not to keep the connection.
func respond(c net.Conn) error {
	in := bufio.NewReader(c)
	for {
		id, keep, s, err := readRequest(in)
		if err != nil {
			return err
		}
		body, err := json.Marshal(s)
		if err != nil {
			return err
		}
		answer := append([]byte("Content-Type: application/json\r\n\r\n"), body...)
		out := record(nil, stdout, id, answer)
		out = record(out, stdout, id, nil)
		out = record(out, endRequest, id, make([]byte, 8))
		if _, err := c.Write(out); err != nil || !keep {
			return err
		}
	}
}

func readRequest(in io.Reader) (id uint16, keep bool, s seen, err error) {
	var pairs []byte
	hash := sha256.New()
	for {
		var h [8]byte
		if _, err = io.ReadFull(in, h[:]); err != nil {
			return
		}
		id = binary.BigEndian.Uint16(h[2:])
		length := int(binary.BigEndian.Uint16(h[4:]))
		content := make([]byte, length+int(h[6]))
		if _, err = io.ReadFull(in, content); err != nil {
			return
		}
		content = content[:length]
		switch {
		case h[1] == beginRequest:
			keep = content[2]&1 != 0
		case h[1] == params && length == 0:
			s.Env = decodePairs(pairs)
		case h[1] == params:
			pairs = append(pairs, content...)
		case h[1] == stdin && length == 0:
			s.Sha256 = hex.EncodeToString(hash.Sum(nil))
			return
		case h[1] == stdin:
			hash.Write(content)
			s.Size += length
		}
	}
}

func decodePairs(b []byte) map[string]string {
	length := func() int {
		if b[0] < 128 {
			n := int(b[0])
			b = b[1:]
			return n
		}
		n := int(binary.BigEndian.Uint32(b) &^ (1 << 31))
		b = b[4:]
		return n
	}
	env := map[string]string{}
	for len(b) > 0 {
		n := length()
		v := length()
		env[string(b[:n])] = string(b[n : n+v])
		b = b[n+v:]
	}
	return env
}

func record(dst []byte, kind byte, id uint16, content []byte) []byte {
	dst = append(dst, 1, kind, byte(id>>8), byte(id), byte(len(content)>>8), byte(len(content)), 0, 0)
	return append(dst, content...)
}
