package session

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Changes are what an answer asks for.
type Changes struct {
	clear, renew bool
	deleted      []string
	set          map[string]string // key -> JSON as it is stored
	added        map[string]int64
}

// A ChangeError is an answer's change that cannot be made: the application's
// mistake.
type ChangeError struct {
	Field  string
	Reason string
}

func (e *ChangeError) Error() string { return e.Field + ": " + e.Reason }

// maxKey bounds a key, in bytes.
const maxKey = 256

// TakeChanges takes the fields that change a session out of an answer's head.
// Its errors are *ChangeError; a field that says nothing valid spoils all of them.
func TakeChanges(h http.Header) (*Changes, error) {
	ch := new(Changes)
	var errs []error
	for _, name := range [...]string{HeaderClear, HeaderRenew, HeaderDelete, HeaderSet, HeaderAdd} {
		values, ok := h[name]
		if !ok {
			continue
		}
		for _, value := range values {
			if err := ch.take(name, value); err != nil {
				errs = append(errs, &ChangeError{name, err.Error()})
			}
		}
		delete(h, name)
	}
	return ch, errors.Join(errs...)
}

func (ch *Changes) take(name, value string) error {
	switch name {
	case HeaderClear:
		ch.clear = true
	case HeaderRenew:
		ch.renew = true
	case HeaderDelete:
		return ch.takeDelete(value)
	case HeaderSet:
		return ch.takeSet(value)
	case HeaderAdd:
		return ch.takeAdd(value)
	}
	return nil
}

func (ch *Changes) any() bool {
	return ch.clear || ch.renew || len(ch.deleted) > 0 || len(ch.set) > 0 || len(ch.added) > 0
}

func (ch *Changes) takeDelete(value string) error {
	key, err := decodeKey(value)
	ch.deleted = append(ch.deleted, key)
	return err
}

func (ch *Changes) takeSet(value string) error {
	key, text, err := decodePair(value)
	if err != nil {
		return err
	}
	if text, err = canonical(text); err != nil {
		return fmt.Errorf("key %.40q: %w", key, err)
	}
	if ch.set == nil {
		ch.set = make(map[string]string)
	}
	ch.set[key] = text
	return nil
}

func (ch *Changes) takeAdd(value string) error {
	key, text, err := decodePair(value)
	if err != nil {
		return err
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return fmt.Errorf("key %.40q: %.40q is no integer of 64 bits", key, text)
	}
	if ch.added == nil {
		ch.added = make(map[string]int64)
	}
	if ch.added[key], err = plus(ch.added[key], n); err != nil {
		return fmt.Errorf("key %.40q: %w", key, err)
	}
	return nil
}

func decodePair(s string) (key, value string, err error) {
	k, v, ok := strings.Cut(s, "=")
	if !ok {
		return "", "", fmt.Errorf("%.40q, want KEY=VALUE", s)
	}
	if key, err = decodeKey(k); err != nil {
		return "", "", err
	}
	value, err = url.PathUnescape(v)
	return key, value, err
}

func decodeKey(s string) (string, error) {
	key, err := url.PathUnescape(s)
	switch {
	case err != nil:
		return "", err
	case key == "" || len(key) > maxKey || !utf8.ValidString(key):
		return "", fmt.Errorf("%.40q is no key: want UTF-8 text of 1 to %d bytes", key, maxKey)
	}
	return key, nil
}

// apply returns data, a session's, with the changes.
func (ch *Changes) apply(data string) (string, error) {
	keys := map[string]string{}
	if !ch.clear {
		var err error
		if keys, err = parseObject(data); err != nil {
			return "", err
		}
	}
	for _, k := range ch.deleted {
		delete(keys, k)
	}
	maps.Copy(keys, ch.set)
	for k, n := range ch.added {
		before := int64(0)
		if text, ok := keys[k]; ok {
			var err error
			if before, err = strconv.ParseInt(text, 10, 64); err != nil {
				return "", &ChangeError{HeaderAdd, fmt.Sprintf("key %.40q: what is stored is no integer of 64 bits", k)}
			}
		}
		sum, err := plus(before, n)
		if err != nil {
			return "", &ChangeError{HeaderAdd, fmt.Sprintf("key %.40q: %v", k, err)}
		}
		keys[k] = strconv.FormatInt(sum, 10)
	}
	return formatObject(keys), nil
}

func plus(a, b int64) (int64, error) {
	sum := a + b
	if (sum > a) != (b > 0) && b != 0 {
		return 0, errors.New("the sum is over 64 bits")
	}
	return sum, nil
}
