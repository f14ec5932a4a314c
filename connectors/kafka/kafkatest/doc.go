// Package kafkatest runs a real Apache Kafka for tests: one node in KRaft
// mode, on loopback ports that it picks, with its data in the test's own
// directory. It needs Java and a folder of jars, which this command fills
// (12 s, 43 MB) from the pom.xml beside it:
//
//	mvn -q -B -f connectors/kafka/kafkatest/pom.xml dependency:copy-dependencies \
//	    -DincludeScope=runtime -DoutputDirectory=DIR
//
// and which tests find by the environment variable ITRSTREAM_KAFKA_LIBS=DIR.
// Such tests are called TestReal…; with -short they do not run.
//
// Raising the version of Kafka? Change pom.xml.
// Broker does not start? Its output is in the test's failure.
package kafkatest
