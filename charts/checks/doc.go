// Package checks has no code of its own, only the tests of what is deployed:
// the Helm chart, the images, the compose file, alerts and dashboard. It is a
// module of its own so that its libraries (Prometheus's parser, Kubernetes's
// pod security, compose-go) are none of the pipeline's. Run: make chart
//
// Changed a value? Read values_test.go, then values.schema.yaml.
// Changed a template? Read render_test.go, and look at testdata/golden.
// Changed an alert, the dashboard or a metric? Read alerts_test.go.
// Changed a Dockerfile? Read image_test.go, and package plain.
package checks
