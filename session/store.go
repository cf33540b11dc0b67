package session

import (
	"context"
	"errors"
	"time"
)

// A Key is where a session is stored.
type Key [32]byte

// A Store keeps sessions. Its methods may be called from any goroutine.
type Store interface {
	// Get returns the value of a key, nil where there is none.
	Get(ctx context.Context, k Key) ([]byte, error)
	// Update calls f and stores all that it has put, or, where f or the store
	// fails, nothing. Two of them never see the same state and both change it: f
	// may be called again, and must not leave anything behind.
	Update(ctx context.Context, f func(Tx) error) error
	// Close returns when all is written. No other method may be called after.
	Close() error
}

// A Tx is a transaction. What Get returns must not be changed or kept.
type Tx interface {
	Get(k Key) ([]byte, error)
	// Put stores a value, which is forgotten some time after expires.
	Put(k Key, value []byte, expires time.Time) error
	Delete(k Key) error
}

// ErrFull is a store that takes no more sessions; those that it has go on.
var ErrFull = errors.New("session: the store holds as many sessions as it may")

// A Write is one change of a transaction. A nil Value is none.
type Write struct {
	Key     Key
	Value   []byte
	Expires time.Time
}

// A Read is a value that a transaction has seen. A nil Value is none.
type Read struct {
	Key   Key
	Value []byte
}

// A Draft is a Tx that gathers what is to be written, for stores.
type Draft struct {
	Load   func(Key) ([]byte, error) // what the store has
	Reads  []Read                    // each key once
	Writes []Write                   // each key once
}

// Get implements Tx.
func (d *Draft) Get(k Key) ([]byte, error) {
	for _, w := range d.Writes {
		if w.Key == k {
			return w.Value, nil
		}
	}
	for _, r := range d.Reads {
		if r.Key == k {
			return r.Value, nil
		}
	}
	v, err := d.Load(k)
	if err == nil {
		d.Reads = append(d.Reads, Read{k, v})
	}
	return v, err
}

// Put implements Tx.
func (d *Draft) Put(k Key, value []byte, expires time.Time) error {
	d.write(Write{k, value, expires})
	return nil
}

// Delete implements Tx.
func (d *Draft) Delete(k Key) error {
	d.write(Write{Key: k})
	return nil
}

func (d *Draft) write(w Write) {
	for i := range d.Writes {
		if d.Writes[i].Key == w.Key {
			d.Writes[i] = w
			return
		}
	}
	d.Writes = append(d.Writes, w)
}
