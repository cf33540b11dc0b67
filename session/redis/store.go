// Package redis keeps sessions in a Redis or Valkey server, for several fronts.
// A cluster of shards is not spoken to: a renewal writes two keys at once.
package redis

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/frontd/frontd/session"
)

const (
	prefix = "frontd:session:"
	// patience bounds each command, the connection to the server included.
	patience = 2 * time.Second
	// maxTries bounds how often a transaction that others have overtaken is
	// run again. Of those that run at once one always gets through.
	maxTries = 100
)

// A Store is a session.Store in a server. What the server has answered is as
// safe as its own settings make it.
type Store struct {
	client *redis.Client
	turn   sync.Mutex // held by a transaction that was overtaken once: one of ours at a time
}

// Open returns a store at "redis://[USER:PASSWORD@]HOST[:PORT][/DB]", "rediss://…" with
// TLS, or "unix://[USER:PASSWORD@]/PATH[?db=N]". It does not wait for the server.
func Open(url string) (*Store, error) {
	o, err := redis.ParseURL(url)
	if err != nil {
		return nil, errors.New("session store: not a redis URL") // the error has the password
	}
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout, o.PoolTimeout = patience, patience, patience, patience
	o.ContextTimeoutEnabled = true
	o.MaxRetries = -1 // whether a write was done is not known: see Update
	return &Store{client: redis.NewClient(o)}, nil
}

func name(k session.Key) string { return prefix + base64.RawURLEncoding.EncodeToString(k[:]) }

// Get implements session.Store.
func (s *Store) Get(ctx context.Context, k session.Key) ([]byte, error) {
	b, err := s.client.Get(ctx, name(k)).Bytes()
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("session store: %w", err)
	}
	return b, nil
}

// swap writes where all that was read is still as it was. KEYS are those read
// and then those written; ARGV is how many were read, what was read ("" for
// nothing), and a pair of value and milliseconds for each that is written, 0 to
// delete it. It returns 1, or 0 where something is not as it was.
var swap = redis.NewScript(`
local n = tonumber(ARGV[1])
for i = 1, n do
	if (redis.call('GET', KEYS[i]) or '') ~= ARGV[1 + i] then return 0 end
end
for i = n + 1, #KEYS do
	local at = 2 + n + (i - n - 1) * 2
	if ARGV[at + 1] == '0' then
		redis.call('DEL', KEYS[i])
	else
		redis.call('SET', KEYS[i], ARGV[at], 'PX', ARGV[at + 1])
	end
end
return 1`)

// Update implements session.Store: f runs on what is read, and again where
// others have changed that meanwhile. Where the connection is lost after the
// write was sent, an error says so although it may have been done.
func (s *Store) Update(ctx context.Context, f func(session.Tx) error) error {
	done, err := s.try(ctx, f)
	if done || err != nil {
		return err
	}
	s.turn.Lock()
	defer s.turn.Unlock()
	for range maxTries {
		if done, err := s.try(ctx, f); done || err != nil {
			return err
		}
	}
	return fmt.Errorf("session store: overtaken %d times", maxTries)
}

func (s *Store) try(ctx context.Context, f func(session.Tx) error) (done bool, err error) {
	draft := session.Draft{Load: func(k session.Key) ([]byte, error) { return s.Get(ctx, k) }}
	if err := f(&draft); err != nil || len(draft.Writes) == 0 {
		return true, err
	}
	keys := make([]string, 0, len(draft.Reads)+len(draft.Writes))
	args := []any{len(draft.Reads)}
	for _, r := range draft.Reads {
		keys = append(keys, name(r.Key))
		args = append(args, r.Value)
	}
	for _, w := range draft.Writes {
		keys = append(keys, name(w.Key))
		left := int64(0)
		if w.Value != nil {
			left = max(1, time.Until(w.Expires).Milliseconds())
		}
		args = append(args, w.Value, left)
	}
	swapped, err := swap.Run(ctx, s.client, keys, args...).Bool()
	if err != nil {
		return false, fmt.Errorf("session store: %w", err)
	}
	return swapped, nil
}

// Close implements session.Store.
func (s *Store) Close() error { return s.client.Close() }
