{{- define "itrstream.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 52 | trimSuffix "-" -}}
{{- end }}

{{- define "itrstream.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "itrstream.name" . -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- define "itrstream.selector" -}}
app.kubernetes.io/name: {{ include "itrstream.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "itrstream.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "itrstream.selector" . }}
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "itrstream.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "itrstream.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end }}

{{- define "itrstream.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) -}}
{{- end -}}
{{- end }}

{{- define "itrstream.claim" -}}
{{- .Values.storage.existingClaim | default (printf "%s-storage" (include "itrstream.fullname" .)) -}}
{{- end }}

{{/* A collector ends its open shards, then takedowns, then the manifest, each within shutdownSeconds. */}}
{{- define "itrstream.graceSeconds" -}}
{{- add (mul 3 .Values.shutdownSeconds) .Values.preStopSeconds 10 -}}
{{- end }}

{{/* What config.kafka says about TLS, the paths of mounted secrets included. Takes (dict "config" … "secret" … "dir" …). */}}
{{- define "itrstream.tls" -}}
{{- $tls := deepCopy (.config.tls | default dict) -}}
{{- if .secret.name -}}
{{- $_ := set $tls "enabled" true -}}
{{- with .secret.caKey -}}{{- $_ := set $tls "ca_file" (printf "%s/ca.crt" $.dir) -}}{{- end -}}
{{- with .secret.certKey -}}{{- $_ := set $tls "cert_file" (printf "%s/tls.crt" $.dir) -}}{{- end -}}
{{- with .secret.keyKey -}}{{- $_ := set $tls "key_file" (printf "%s/tls.key" $.dir) -}}{{- end -}}
{{- end -}}
{{- toYaml $tls -}}
{{- end }}

{{/* The configuration that the pods read: config, with what the chart itself knows. */}}
{{- define "itrstream.config" -}}
{{- $c := deepCopy .Values.config -}}
{{- $kafka := $c.kafka | default dict -}}
{{- if not $kafka.brokers -}}{{- fail "config.kafka.brokers must name Kafka's brokers, as [kafka-0.kafka:9092]: without any, each pod would start a broker of its own" -}}{{- end -}}
{{- $redis := $c.redis | default dict -}}
{{- if not $redis.addr -}}{{- fail "config.redis.addr must name Redis, as redis:6379: without it, each pod would start one of its own" -}}{{- end -}}
{{- $secrets := .Values.secrets -}}
{{- with fromYaml (include "itrstream.tls" (dict "config" $kafka "secret" $secrets.kafkaTLS "dir" "/etc/itrstream/secrets/kafka-tls")) -}}
{{- $_ := set $kafka "tls" . -}}
{{- end -}}
{{- with fromYaml (include "itrstream.tls" (dict "config" $redis "secret" $secrets.redisTLS "dir" "/etc/itrstream/secrets/redis-tls")) -}}
{{- $_ := set $redis "tls" . -}}
{{- end -}}
{{- $sasl := $kafka.sasl | default dict -}}
{{- if $secrets.kafka.name -}}
{{- if not $sasl.mechanism -}}{{- fail "secrets.kafka names a SASL user: say how he is asked, by config.kafka.sasl.mechanism" -}}{{- end -}}
{{- $_ := set $sasl "password_file" "/etc/itrstream/secrets/kafka/password" -}}
{{- $_ := set $kafka "sasl" $sasl -}}
{{- else if $sasl.mechanism -}}
{{- fail "config.kafka.sasl.mechanism asks for a user: name a Secret with him, by secrets.kafka.name" -}}
{{- end -}}
{{- if $secrets.redis.name -}}{{- $_ := set $redis "password_file" "/etc/itrstream/secrets/redis/password" -}}{{- end -}}
{{- $_ := set $c "kafka" $kafka -}}
{{- $_ := set $c "redis" $redis -}}
{{- if $secrets.authorKey.name -}}
{{- $_ := set $c "privacy" (merge (dict "author_key_file" "/etc/itrstream/secrets/author/key") ($c.privacy | default dict)) -}}
{{- end -}}
{{- $model := $c.model | default dict -}}
{{- if and (gt (int .Values.label.gpu.count) 0) (not $model.device) -}}{{- $_ := set $c "model" (merge (dict "device" "cuda:0") $model) -}}{{- end -}}
{{- $collect := $c.collect | default dict -}}
{{- if and .Values.collector.enabled (not (and $collect.images $collect.dataset)) -}}
{{- fail "collector.enabled needs config.collect.images and config.collect.dataset: where images lie, and where the data set is written" -}}
{{- end -}}
{{- range $key, $url := dict "images" $collect.images "dataset" $collect.dataset "cluster.snapshots.dir" (($c.cluster | default dict).snapshots | default dict).dir -}}
{{- if and $url (or (hasPrefix "file:" $url) (hasPrefix "/" $url)) (not (regexMatch "^(file://)?/var/lib/itrstream(/|$)" $url)) -}}
{{- fail (printf "%s is %s: pods may write below /var/lib/itrstream only, with storage.enabled" $key $url) -}}
{{- end -}}
{{- if and $url (or (hasPrefix "file:" $url) (hasPrefix "/" $url)) (not $.Values.storage.enabled) -}}
{{- fail (printf "%s is %s: turn storage.enabled on, or it is lost with the pod" $key $url) -}}
{{- end -}}
{{- end -}}
{{- $_ := set $c "ops" (merge (dict "addr" (printf ":%d" (int .Values.ops.port))) ($c.ops | default dict)) -}}
{{- $_ := set $c "shutdown" (dict "timeout" (printf "%ds" (int .Values.shutdownSeconds))) -}}
{{- $_ := set $c "log" (merge ($c.log | default dict) (dict "format" "json")) -}}
{{- toYaml $c -}}
{{- end }}
