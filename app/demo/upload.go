package demo

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
)

// maxParts bounds the files and fields of one upload; their size is the
// front's to limit, for none of them is kept.
const maxParts = 1000

// A sum is what is told of a body or of one part of it.
type sum struct {
	Field  string `json:"field,omitempty"`
	File   string `json:"file,omitempty"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

func (s *site) uploadForm(w http.ResponseWriter, r *http.Request) {
	s.show(w, r, http.StatusOK, "upload", nil)
}

func (s *site) upload(w http.ResponseWriter, r *http.Request) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "multipart/form-data" {
		s.uploadRaw(w, r)
		return
	}
	sums, err := sumParts(r)
	switch {
	case err != nil:
		refuseBody(w, err)
	case strings.Contains(r.Header.Get("Accept"), "application/json"):
		writeJSON(w, sums)
	default:
		s.show(w, r, http.StatusOK, "uploaded", sums)
	}
}

func (s *site) uploadRaw(w http.ResponseWriter, r *http.Request) {
	got, err := sumUp(r.Body)
	if err != nil {
		refuseBody(w, err)
		return
	}
	writeJSON(w, got)
}

// sumParts reads a multipart body part by part, 32 KiB at a time.
func sumParts(r *http.Request) ([]sum, error) {
	parts, err := r.MultipartReader()
	if err != nil {
		return nil, err
	}
	var sums []sum
	for {
		part, err := parts.NextPart()
		switch {
		case errors.Is(err, io.EOF):
			return sums, nil
		case err != nil:
			return nil, err
		case len(sums) == maxParts:
			return nil, fmt.Errorf("more than %d parts", maxParts)
		}
		got, err := sumUp(part)
		if err != nil {
			return nil, err
		}
		got.Field, got.File = part.FormName(), part.FileName()
		sums = append(sums, got)
	}
}

func sumUp(r io.Reader) (sum, error) {
	hash := sha256.New()
	n, err := io.Copy(hash, r)
	return sum{Size: n, SHA256: hex.EncodeToString(hash.Sum(nil))}, err
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // the client's leaving ends it
}
