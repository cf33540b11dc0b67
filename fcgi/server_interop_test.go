package fcgi

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"path/filepath"
	"testing"
)

// TestServerWithTransport: both ends of this package talk to each other, plain
// and with flow control, many requests at once, large bodies both ways.
func TestServerWithTransport(t *testing.T) {
	for _, flow := range []bool{false, true} {
		t.Run(fmt.Sprintf("flow=%v", flow), func(t *testing.T) {
			addr := srvReal(t, "unix", filepath.Join(t.TempDir(), "s"), &Server{
				Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) }),
			})
			tr := &Transport{Flow: flow, Keep: true, MaxIdle: 4, Dial: func(ctx context.Context) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, "unix", addr.String())
			}}
			t.Cleanup(func() { tr.Close(); tr.Wait() })
			const clients, rounds = 8, 10
			done := make(chan error)
			for i := range clients {
				go func() { done <- srvExchanges(t.Context(), tr, uint64(i), rounds) }()
				// Its end goes to done.
			}
			for range clients {
				if err := <-done; err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func srvExchanges(ctx context.Context, tr *Transport, seed uint64, rounds int) error {
	var key [32]byte
	key[0] = byte(seed)
	random := rand.NewChaCha8(key)
	for range rounds {
		size := int64(random.Uint64() % (1 << 20))
		sent, got := sha256.New(), sha256.New()
		req := &Request{Role: RoleResponder, Params: new(Params), Stdin: io.TeeReader(io.LimitReader(random, size), sent)}
		req.Params.Add("REQUEST_METHOD", "POST")
		req.Params.Add("REQUEST_URI", "/")
		resp, err := tr.RoundTrip(ctx, req)
		if err != nil {
			return err
		}
		var n int64
		for err == nil {
			var piece []byte
			piece, err = resp.Next()
			n += int64(len(piece))
			got.Write(piece)
		}
		resp.Close()
		resp.Wait()
		if err != io.EOF || n != size || string(sent.Sum(nil)) != string(got.Sum(nil)) {
			return fmt.Errorf("sent %d bytes, got %d back, %v; the same: %v", size, n, err, string(sent.Sum(nil)) == string(got.Sum(nil)))
		}
	}
	return nil
}
