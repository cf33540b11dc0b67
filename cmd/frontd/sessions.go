package main

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/frontd/frontd/config"
	"github.com/frontd/frontd/session"
	"github.com/frontd/frontd/session/embedded"
	"github.com/frontd/frontd/session/redis"
)

// sessionStores are the stores in use, by their place: one each, whatever the
// number of routes that keep sessions there, and the same one over a reload.
type sessionStores struct {
	mu   sync.Mutex // guards the field below
	open map[string]*openStore
}

// An openStore is closed when the last chain has left that led to it: a request
// may be on its way through one that any number of reloads have replaced.
type openStore struct {
	session.Store
	leases int
}

// A lease is a chain's part in a store.
type lease struct {
	stores *sessionStores
	place  string
	log    *logbook
}

// chainSessions makes the sessions of one chain. Routes with the same settings
// have the same, so that an application can lead from one to another.
type chainSessions struct {
	daemon *daemon
	roots  *folders // gets the leases
	made   map[string]*session.Sessions
}

// of returns the sessions of an app's route, nil for none.
func (cs *chainSessions) of(c *config.Config, ac *config.App, rc *config.Route) (*session.Sessions, error) {
	sc := c.Session(ac, rc)
	if !sc.Enabled {
		return nil, nil
	}
	var err error
	if sc.File == "" {
		if sc.File, err = cs.daemon.sessionFile(); err != nil {
			return nil, err
		}
	}
	settings := fmt.Sprintf("%#v", sc)
	if s := cs.made[settings]; s != nil {
		return s, nil
	}
	store, lease, err := cs.daemon.sessionStore(sc)
	if err != nil {
		return nil, err
	}
	*cs.roots = append(*cs.roots, lease)
	secrets, err := sessionSecrets(sc)
	if err != nil {
		return nil, err
	}
	s, err := session.New(session.Policy{
		Cookie: session.Cookie{
			Name: sc.Cookie, Path: sc.Path, Domain: sc.Domain, Secure: session.Secure(sc.Secure),
			SameSite: sc.SameSite, Persistent: sc.Persistent,
		},
		Idle: sc.Idle, Lifetime: sc.Lifetime, MaxBytes: int(sc.MaxBytes), Secrets: secrets,
	}, store)
	if err != nil {
		return nil, err
	}
	if cs.made == nil {
		cs.made = make(map[string]*session.Sessions)
	}
	cs.made[settings] = s
	return s, nil
}

// sessionFile is where the embedded store is unless the configuration says it:
// where systemd keeps a service's state, or beside the control socket.
func (d *daemon) sessionFile() (string, error) {
	if dir := os.Getenv("STATE_DIRECTORY"); dir != "" {
		dir, _, _ = strings.Cut(dir, ":") // systemd joins several with colons
		return filepath.Join(dir, "sessions.db"), nil
	}
	base, err := runtimeBase()
	return filepath.Join(base, d.name+".sessions.db"), err
}

// sessionStore returns the store of a place, for as long as its lease lasts.
func (d *daemon) sessionStore(sc config.Session) (session.Store, lease, error) {
	s := &d.stores
	s.mu.Lock()
	defer s.mu.Unlock()
	place := sc.Store
	if sc.Store == config.StoreEmbedded {
		place = fmt.Sprintf("%s %d", sc.File, sc.Max)
	}
	l := lease{s, place, d.log}
	if store := s.open[place]; store != nil {
		store.leases++
		return store.Store, l, nil
	}
	var store session.Store
	var err error
	if sc.Store == config.StoreEmbedded {
		store, err = embedded.Open(embedded.Options{File: sc.File, Max: sc.Max, Log: d.log.Logger})
	} else {
		store, err = redis.Open(sc.Store)
	}
	if err != nil {
		return nil, l, err
	}
	if s.open == nil {
		s.open = make(map[string]*openStore)
	}
	s.open[place] = &openStore{store, 1}
	return store, l, nil
}

// Close ends the lease.
func (l lease) Close() error {
	s := l.stores
	s.mu.Lock()
	defer s.mu.Unlock()
	store := s.open[l.place]
	if store == nil {
		return nil // the daemon has ended
	}
	if store.leases--; store.leases > 0 {
		return nil
	}
	delete(s.open, l.place)
	err := store.Close()
	if err != nil {
		l.log.Error("store of sessions not closed", "error", err)
	}
	return err
}

// close closes all of them: no request is left.
func (s *sessionStores) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, store := range s.open {
		errs = append(errs, store.Close())
	}
	clear(s.open)
	return errors.Join(errs...)
}

// sessionSecrets are those of the configuration, or the one beside the file.
func sessionSecrets(sc config.Session) ([][]byte, error) {
	var secrets [][]byte
	for _, s := range sc.Secret {
		secrets = append(secrets, []byte(s))
	}
	if len(secrets) > 0 {
		return secrets, nil
	}
	own, err := ownSecret(sc.File + ".secret")
	if err != nil {
		return nil, fmt.Errorf("secret of sessions: %w", err)
	}
	return [][]byte{own}, nil
}

// ownSecret reads the secret of a file, which it makes if it is not there: as a
// whole, for another daemon may want to make it just now.
func ownSecret(name string) ([]byte, error) {
	b, err := os.ReadFile(name)
	if !errors.Is(err, os.ErrNotExist) {
		return b, err
	}
	f, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*") // 0600
	if err != nil {
		return nil, err
	}
	defer os.Remove(f.Name())
	_ = f.Chmod(stays) // where the system lets us
	random := make([]byte, 32)
	rand.Read(random) // never fails
	_, err = f.WriteString(hex.EncodeToString(random))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return nil, err
	}
	if err := os.Link(f.Name(), name); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, err
	}
	return os.ReadFile(name)
}

func (d *daemon) closeStores() {
	if err := d.stores.close(); err != nil {
		d.log.Error("store of sessions not closed", "error", err)
	}
}
