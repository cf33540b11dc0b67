package main

import (
	"fmt"
	"strings"

	"github.com/frontd/frontd/config"
	"github.com/frontd/frontd/front"
)

// A stager makes the stages of routes. Those of one place in the file are made
// once: clients are counted, and passwords remembered, where the setting stands.
type stager struct {
	c     *config.Config
	rates map[config.Pos]*front.Rate
	auths map[config.Pos]*front.BasicAuth
	errs  config.Errors
}

func newStager(c *config.Config) *stager {
	return &stager{c: c, rates: map[config.Pos]*front.Rate{}, auths: map[config.Pos]*front.BasicAuth{}}
}

// note keeps what is wrong with a setting, once for each place.
func (st *stager) note(pos config.Pos, key string, err error) {
	if err == nil {
		return
	}
	e := config.Error{File: st.c.File, Pos: pos, Key: key, Reason: err.Error()}
	for _, other := range st.errs {
		if other == e {
			return
		}
	}
	st.errs = append(st.errs, e)
}

// apply gives a route its stages. What is wrong is in st.errs.
func (st *stager) apply(rc *config.Route, rt *front.Route) {
	s := st.c.Stages(rc)
	rt.Sources = front.Sources{Allow: s.Allow, Deny: s.Deny}
	rt.Methods = s.Methods
	rt.Rate, rt.Auth = st.rate(rc, s.Rate), st.auth(rc, s.BasicAuth)
	var err error
	if len(s.CORS.Origins) > 0 {
		rt.CORS, err = front.NewCORS(front.CORS{
			Origins: s.CORS.Origins, Methods: s.CORS.Methods, Headers: s.CORS.Headers, Expose: s.CORS.Expose,
			Credentials: s.CORS.Credentials, MaxAge: s.CORS.MaxAge,
		})
		st.note(st.c.Origin(rc, "cors").Pos, "cors", err)
	}
	if len(s.Compression.Encodings) > 0 {
		rt.Compression, err = front.NewCompression(front.Compression{Encodings: s.Compression.Encodings, Types: s.Compression.Types, MinSize: s.Compression.MinSize})
		st.note(st.c.Origin(rc, "compression").Pos, "compression", err)
	}
	if c := s.Cache; c.Used() {
		rt.Cache = front.NewCache(front.Cache{MaxAge: max(0, c.MaxAge), Immutable: c.Immutable, Private: c.Private, NoStore: c.NoStore, Replace: c.Replace})
	}
	answers, requests := st.c.FieldLevels(rc)
	rt.Response.Fields, rt.Request.Fields = fieldEdits(answers), fieldEdits(requests)
	if a := st.c.App(rc.App); a != nil && a.Kind != config.KindWSGI { // which has a dict of its own
		for _, v := range a.Settings {
			rt.Variables = append(rt.Variables, front.Variable{Name: "FRONTD_CONFIG_" + v.Name, Value: v.Value})
		}
	}
	st.answers(rc, rt)
}

// answers are the rewrite, the redirect and the return, which only a route has.
func (st *stager) answers(rc *config.Route, rt *front.Route) {
	var err error
	if rc.Rewrite.To != "" {
		rt.Rewrite, err = front.NewRewrite(rc.Rewrite.From, rc.Rewrite.To)
		if err == nil && !rt.Rewrite.StaysIn(rt.MountPrefix) {
			err = fmt.Errorf("%q is not below the app's mount %q", rc.Rewrite.To, rt.MountPrefix+"/")
		}
		st.note(rc.Set["rewrite"], "route.rewrite", err)
	}
	if rc.Redirect.To != "" {
		rt.Redirect, err = front.NewRedirect(rc.Redirect.From, rc.Redirect.To, rc.Redirect.Status)
		st.note(rc.Set["redirect"], "route.redirect", err)
	}
	if rc.Return.Status != 0 {
		rt.Reply = &front.Reply{Status: rc.Return.Status, Type: rc.Return.Type, Body: rc.Return.Body}
	}
}

func (st *stager) rate(rc *config.Route, r config.Rate) *front.Rate {
	if r.Requests == 0 {
		return nil
	}
	pos := st.c.Origin(rc, "rate").Pos
	if _, made := st.rates[pos]; !made {
		var err error
		st.rates[pos], err = front.NewRate(r.Requests, r.Per, r.Burst)
		st.note(pos, "rate", err)
	}
	return st.rates[pos]
}

func (st *stager) auth(rc *config.Route, b config.BasicAuth) *front.BasicAuth {
	if b.File == "" {
		return nil
	}
	pos := st.c.Origin(rc, "basic_auth").Pos
	if _, made := st.auths[pos]; !made {
		var err error
		st.auths[pos], err = front.NewBasicAuth(b.File, b.Realm)
		st.note(pos, "basic_auth.file", err)
	}
	return st.auths[pos]
}

// fieldEdits lists the changes of all levels; in each, what is taken out goes first.
func fieldEdits(levels []config.Fields) front.Fields {
	var edits front.Fields
	for _, f := range levels {
		for _, name := range f.Remove {
			edits = append(edits, front.FieldEdit{Do: front.FieldRemove, Name: name})
		}
		for _, v := range f.Set {
			edits = append(edits, front.FieldEdit{Do: front.FieldSet, Name: v.Name, Value: v.Value})
		}
		for _, v := range f.Add {
			edits = append(edits, front.FieldEdit{Do: front.FieldAdd, Name: v.Name, Value: v.Value})
		}
	}
	return edits
}

// setFiles sets what a route with root says of its files.
func setFiles(files *front.Static, rc *config.Route) {
	files.Index, files.Listing, files.Precompressed = rc.Index, rc.Listing, rc.Precompressed
	files.Fallback = strings.TrimPrefix(rc.Fallback, "/")
}

// checkStages tries all routes' stages, and returns what is wrong with them.
func checkStages(c *config.Config) config.Errors {
	st := newStager(c)
	for _, rc := range c.Routes {
		st.apply(rc, &front.Route{MountPrefix: rc.Mount})
	}
	return st.errs
}

// err is all that was wrong.
func (st *stager) err() error {
	if len(st.errs) == 0 {
		return nil
	}
	return st.errs
}
