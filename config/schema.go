package config

import "encoding/json"

// objectSchema is the JSON Schema of a table. Defaults are those of from.
func objectSchema[S any](keys []key[S], from *S) property {
	properties := property{}
	var required []string
	for _, k := range keys {
		p := property{"description": k.doc}
		for name, v := range k.schema(from) {
			p[name] = v
		}
		properties[k.name] = p
		if k.required {
			required = append(required, k.name)
		}
	}
	o := property{"type": "object", "additionalProperties": false, "properties": properties}
	if required != nil {
		o["required"] = required
	}
	return o
}

// Schema returns the JSON Schema (draft 2020-12) of the configuration file,
// for editors. It is looser than Parse, which also sees what settings mean together.
func Schema() []byte {
	d := Default()
	app := objectSchema(appKeys, DefaultApp())
	route := objectSchema(routeKeys, defaultRoute())
	server := objectSchema(serverKeys, &d.Server)
	log := objectSchema(logKeys, &d.Log)
	metrics := objectSchema(metricsKeys, &d.Metrics)
	metrics["description"] = "numbers and health, on a listener of their own"
	incidents := objectSchema(incidentKeys, &d.Incidents)
	incidents["description"] = "errors of applications, as they are kept"
	mail := objectSchema(mailKeys, &d.Mail)
	mail["description"] = "who is told of incidents by mail"
	webhook := objectSchema(webhookKeys, &d.Webhook)
	webhook["description"] = "what is told of incidents by HTTP"
	server["description"] = "the daemon itself, and the limits of all apps"
	log["description"] = "what is logged, where and how"
	app["description"] = "one app; its name is its own choice"
	route["description"] = "which app or folder serves which URLs; the first that matches"
	b, err := json.MarshalIndent(property{
		"$schema":              "https://json-schema.org/draft/2020-12/schema",
		"title":                "frontd configuration",
		"type":                 "object",
		"additionalProperties": false,
		"properties": property{
			"server":    server,
			"log":       log,
			"metrics":   metrics,
			"incidents": incidents,
			"mail":      mail,
			"webhook":   webhook,
			"app": property{
				"type":                 "object",
				"propertyNames":        property{"pattern": "^[A-Za-z0-9_-]{1,64}$"},
				"additionalProperties": app,
			},
			"route": property{"type": "array", "items": route},
		},
	}, "", "  ")
	if err != nil {
		panic("config: schema: " + err.Error()) // only strings, numbers and maps of them
	}
	return append(b, '\n')
}
