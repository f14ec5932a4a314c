package checks

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	yamlv3 "go.yaml.in/yaml/v3"
	"sigs.k8s.io/yaml"
)

type object = map[string]any

// elsewhere are keys of the configuration that values must not set, and what
// sets them instead.
var elsewhere = map[string]string{
	"kafka.client_id":          "the pod's name",
	"kafka.sasl.username":      "secrets.kafka",
	"kafka.sasl.password":      "secrets.kafka",
	"kafka.sasl.password_file": "secrets.kafka",
	"kafka.tls.ca_file":        "secrets.kafkaTLS",
	"kafka.tls.cert_file":      "secrets.kafkaTLS",
	"kafka.tls.key_file":       "secrets.kafkaTLS",
	"redis.username":           "secrets.redis",
	"redis.password":           "secrets.redis",
	"redis.password_file":      "secrets.redis",
	"redis.tls.ca_file":        "secrets.redisTLS",
	"redis.tls.cert_file":      "secrets.redisTLS",
	"redis.tls.key_file":       "secrets.redisTLS",
	"privacy.author_key":       "secrets.authorKey",
	"privacy.author_key_file":  "secrets.authorKey",
	"model.library":            "the image",
	"ops.addr":                 "ops.port",
	"shutdown.timeout":         "shutdownSeconds",
}

// special are keys whose default does not show their form.
var special = map[string]object{
	"fetch.ports":   {"type": "array", "items": object{"type": "integer", "minimum": 1, "maximum": 65535}},
	"fetch.proxy":   {"type": "string", "pattern": `^[^@]*$`}, // a user and password come by ITRSTREAM_FETCH_PROXY
	"decide.rules":  {"type": "array", "items": closed("name", "when", "topic")},
	"collect.keep":  {"type": "array", "items": closed("name", "when")},
	"collect.rates": {"type": "array", "items": rates()},
}

func closed(properties ...string) object {
	o := object{"type": "object", "required": []string{"name", "when"}, "additionalProperties": false}
	of := object{}
	for _, p := range properties {
		of[p] = object{"type": "string"}
	}
	o["properties"] = of
	return o
}

func rates() object {
	return object{"type": "object", "additionalProperties": false, "required": []string{"rate"}, "properties": object{
		"source": object{"type": "string"}, "lang": object{"type": "string"}, "rate": object{"type": "number", "minimum": 0, "maximum": 1},
	}}
}

var duration = regexp.MustCompile(`^(\d+(\.\d+)?(ms|s|m|h))+$`)

// schemaOf describes a key of the reference by its default.
func schemaOf(t *testing.T, key string, node, value *yamlv3.Node, seen map[string]bool) object {
	t.Helper()
	s := object{}
	if text := strings.TrimSpace(strings.TrimLeft(node.LineComment+value.LineComment, "# ")); text != "" {
		s["description"] = text
	}
	if as, ok := special[key]; ok {
		seen[key] = true
		maps.Copy(s, as)
		return s
	}
	switch {
	case value.Kind == yamlv3.MappingNode:
		properties := object{}
		for i := 0; i < len(value.Content); i += 2 {
			child := strings.TrimPrefix(key+"."+value.Content[i].Value, ".")
			if _, ok := elsewhere[child]; ok {
				seen[child] = true
				continue
			}
			properties[value.Content[i].Value] = schemaOf(t, child, value.Content[i], value.Content[i+1], seen)
		}
		s["type"], s["properties"], s["additionalProperties"] = "object", properties, false
	case value.Kind == yamlv3.SequenceNode:
		s["type"], s["items"] = "array", object{"type": "string"}
	case value.Tag == "!!bool":
		s["type"] = "boolean"
	case value.Tag == "!!int":
		s["type"] = "integer"
		if strings.HasSuffix(key, "weight") {
			s["type"] = "number"
		}
	case value.Tag == "!!float":
		s["type"] = "number"
	case duration.MatchString(value.Value):
		s["type"], s["pattern"] = "string", duration.String()
	default:
		require.Equal(t, "!!str", value.Tag, key)
		s["type"] = "string"
	}
	return s
}

// close closes every object that does not say how open it is.
func closeObjects(node any) {
	switch node := node.(type) {
	case object:
		if _, ok := node["properties"].(object); ok && node["type"] != nil {
			if _, ok := node["additionalProperties"]; !ok {
				node["additionalProperties"] = false
			}
		}
		for _, child := range node {
			closeObjects(child)
		}
	case []any:
		for _, child := range node {
			closeObjects(child)
		}
	}
}

func TestValuesSchemaIsCurrent(t *testing.T) {
	t.Parallel()
	var schema object
	require.NoError(t, yaml.Unmarshal([]byte(read(t, "values.schema.yaml")), &schema))
	var reference yamlv3.Node
	require.NoError(t, yamlv3.Unmarshal([]byte(read(t, filepath.Join(root, "pipeline/config/reference.yaml"))), &reference))
	closeObjects(schema)
	seen := map[string]bool{}
	config := schemaOf(t, "", &yamlv3.Node{}, reference.Content[0], seen)
	config["description"] = "itrstream's configuration, as in pipeline/config/reference.yaml"
	schema["definitions"].(object)["config"] = config
	for _, key := range slices.Concat(slices.Collect(maps.Keys(elsewhere)), slices.Collect(maps.Keys(special))) {
		require.True(t, seen[key], "%s is no key of the reference any more", key)
	}
	text, err := json.MarshalIndent(schema, "", "  ")
	require.NoError(t, err)
	golden(t, filepath.Join(chart, "values.schema.json"), string(text)+"\n")
}

// TestEveryValueHasASchema compares the names in values.yaml with those of the
// schema, both ways.
func TestEveryValueHasASchema(t *testing.T) {
	t.Parallel()
	var schema, values object
	require.NoError(t, yaml.Unmarshal([]byte(read(t, "values.schema.yaml")), &schema))
	require.NoError(t, yaml.Unmarshal([]byte(read(t, filepath.Join(chart, "values.yaml"))), &values))
	definitions := schema["definitions"].(object)
	var compare func(path string, schema object, value any)
	compare = func(path string, schema object, value any) {
		if ref, ok := schema["$ref"].(string); ok {
			name := strings.TrimPrefix(ref, "#/definitions/")
			if name == "config" {
				return
			}
			schema = definitions[name].(object)
		}
		properties, ok := schema["properties"].(object)
		fields, isObject := value.(object)
		if !ok || !isObject || len(fields) == 0 {
			require.NotEmpty(t, schema, "%s says nothing", path)
			return
		}
		for name, value := range fields {
			require.Contains(t, properties, name, "%s: values.yaml has %s, values.schema.yaml has not", path, name)
			compare(path+"."+name, properties[name].(object), value)
		}
		for name := range properties {
			if path == "" && name == "global" || strings.HasSuffix(path, ".resources") {
				continue
			}
			require.Contains(t, fields, name, "%s: values.schema.yaml has %s, values.yaml has not", path, name)
		}
	}
	compare("", schema, values)
}

// TestValuesThatAreRefused: what is wrong fails when it is rendered, with a
// word about it.
func TestValuesThatAreRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ values, want string }{
		"a value that does not exist":       {"labels: {replicas: 3}", "labels"},
		"a key that does not exist":         {"config: {kafka: {broker: [a:1]}}", "broker"},
		"a section that does not exist":     {"config: {kafak: {}}", "kafak"},
		"no brokers":                        {"config: {kafka: {brokers: []}}", "config.kafka.brokers"},
		"no redis":                          {"config: {redis: {addr: ''}}", "config.redis.addr"},
		"a password in the values":          {"config: {redis: {password: hunter2}}", "password"},
		"a password for kafka":              {"config: {kafka: {sasl: {mechanism: plain, password: hunter2}}}", "password"},
		"an author key":                     {"config: {privacy: {author_key: 0123}}", "author_key"},
		"a password in the proxy":           {"config: {fetch: {proxy: 'http://me:hunter2@proxy:3128'}}", "proxy"},
		"a password as a variable":          {"label: {extraEnv: [{name: AWS_SECRET_ACCESS_KEY, value: hunter2}]}", "extraEnv"},
		"a mechanism without a user":        {"config: {kafka: {sasl: {mechanism: plain}}}", "secrets.kafka.name"},
		"a user without a mechanism":        {"secrets: {kafka: {name: user}}", "config.kafka.sasl.mechanism"},
		"a collector without a place":       {"collector: {enabled: true}", "config.collect.images"},
		"a data set that goes with its pod": {"{config: {collect: {images: 'file:///var/lib/itrstream/i', dataset: 's3://d'}}, collector: {enabled: true}}", "storage.enabled"},
		"a data set beside the volume":      {"{config: {collect: {images: 'file:///data', dataset: 's3://d'}}, storage: {enabled: true}}", "/var/lib/itrstream"},
		"a digest that is none":             {"image: {digest: sha256:abc}", "digest"},
		"a port that is none":               {"ops: {port: 70000}", "port"},
		"an address of its own for metrics": {"config: {ops: {addr: '127.0.0.1:1'}}", "addr"},
		"a number that is none":             {"label: {replicas: many}", "replicas"},
		"the node's files":                  {"label: {extraVolumes: [{name: node, hostPath: {path: /}}]}", "hostPath"},
		"a time to stop that is set twice":  {"config: {shutdown: {timeout: 5s}}", "shutdown"},
		"a duration that is none":           {"config: {kafka: {session_timeout: soon}}", "session_timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "values.yaml")
			require.NoError(t, os.WriteFile(file, []byte(c.values), 0o600))
			out, err := render(t, "-f", "../examples/minimal.yaml", "-f", file)
			require.Error(t, err, "%s was accepted", c.values)
			require.Contains(t, out, c.want)
		})
	}
}

// guard matches the ranges that connectors/media refuses.
var guard = regexp.MustCompile(`blockOf\("([^"]+)"`)

// TestNetworkPolicyKeepsWhatTheFetcherRefuses reads the fetcher's own list.
func TestNetworkPolicyKeepsWhatTheFetcherRefuses(t *testing.T) {
	t.Parallel()
	var values struct {
		NetworkPolicy struct {
			NotPublic struct{ IPv4, IPv6 []string } `json:"notPublic"`
		} `json:"networkPolicy"`
	}
	require.NoError(t, yaml.Unmarshal([]byte(read(t, filepath.Join(chart, "values.yaml"))), &values))
	found := guard.FindAllStringSubmatch(read(t, filepath.Join(root, "connectors/media/guard.go")), -1)
	require.Greater(t, len(found), 20)
	for _, match := range found {
		prefix := match[1]
		switch {
		case !strings.Contains(prefix, ":"):
			require.Contains(t, values.NetworkPolicy.NotPublic.IPv4, prefix)
		case strings.HasPrefix(prefix, "2") || strings.HasPrefix(prefix, "3"):
			require.Contains(t, values.NetworkPolicy.NotPublic.IPv6, prefix, fmt.Sprintf("%s is within 2000::/3", prefix))
		}
	}
}
