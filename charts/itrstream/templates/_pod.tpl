{{/* A Deployment. Takes (dict "root" $ "component" … "values" … "command" …). */}}
{{- define "itrstream.deployment" -}}
{{- $root := .root -}}
{{- $v := .values -}}
{{- $secrets := $root.Values.secrets -}}
{{- $label := eq .component "label" -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "itrstream.fullname" $root }}-{{ .component }}
  labels:
    {{- include "itrstream.labels" $root | nindent 4 }}
    app.kubernetes.io/component: {{ .component }}
spec:
  {{- if not (and $label $root.Values.autoscaling.enabled) }}
  replicas: {{ $v.replicas }}
  {{- end }}
  strategy:
    {{- toYaml $v.strategy | nindent 4 }}
  selector:
    matchLabels:
      {{- include "itrstream.selector" $root | nindent 6 }}
      app.kubernetes.io/component: {{ .component }}
  template:
    metadata:
      labels:
        {{- include "itrstream.selector" $root | nindent 8 }}
        app.kubernetes.io/component: {{ .component }}
        {{- with $v.podLabels }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      annotations:
        checksum/config: {{ include "itrstream.config" $root | sha256sum }}
        {{- with $v.podAnnotations }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    spec:
      serviceAccountName: {{ include "itrstream.serviceAccount" $root }}
      automountServiceAccountToken: false
      enableServiceLinks: false
      {{- with $root.Values.imagePullSecrets }}
      imagePullSecrets:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $v.priorityClassName }}
      priorityClassName: {{ . }}
      {{- end }}
      terminationGracePeriodSeconds: {{ include "itrstream.graceSeconds" $root }}
      securityContext:
        runAsNonRoot: true
        runAsUser: 65532
        runAsGroup: 65532
        fsGroup: 65532
        fsGroupChangePolicy: OnRootMismatch
        seccompProfile:
          type: RuntimeDefault
      containers:
        - name: {{ .component }}
          image: {{ include "itrstream.image" $root }}
          imagePullPolicy: {{ $root.Values.image.pullPolicy }}
          args: [{{ .command }}, -c, /etc/itrstream/itrstream.yaml]
          env:
            - name: ITRSTREAM_KAFKA_CLIENT_ID
              valueFrom:
                fieldRef:
                  fieldPath: metadata.name
            {{- with $secrets.kafka }}
            {{- if .name }}
            - name: ITRSTREAM_KAFKA_SASL_USERNAME
              valueFrom:
                secretKeyRef:
                  name: {{ .name }}
                  key: {{ .usernameKey }}
            {{- end }}
            {{- end }}
            {{- with $secrets.redis }}
            {{- if and $label .name .usernameKey }}
            - name: ITRSTREAM_REDIS_USERNAME
              valueFrom:
                secretKeyRef:
                  name: {{ .name }}
                  key: {{ .usernameKey }}
            {{- end }}
            {{- end }}
            {{- with $v.extraEnv }}
            {{- toYaml . | nindent 12 }}
            {{- end }}
          {{- with $secrets.objectStore.name }}
          envFrom:
            - secretRef:
                name: {{ . }}
          {{- end }}
          ports:
            - name: ops
              containerPort: {{ $root.Values.ops.port }}
          # The model is read and warmed up, and partitions are claimed.
          startupProbe:
            httpGet:
              path: /healthz
              port: ops
            periodSeconds: 5
            failureThreshold: 60
          livenessProbe:
            httpGet:
              path: /healthz
              port: ops
            periodSeconds: 10
            timeoutSeconds: 5
            failureThreshold: 6
          readinessProbe:
            httpGet:
              path: /readyz
              port: ops
            periodSeconds: 10
            timeoutSeconds: 5
          lifecycle:
            preStop:
              sleep:
                seconds: {{ $root.Values.preStopSeconds }}
          resources:
            {{- $resources := deepCopy $v.resources }}
            {{- if and $label (gt (int $v.gpu.count) 0) }}
            {{- $_ := set $resources "limits" (merge (dict $v.gpu.resource $v.gpu.count) ($resources.limits | default dict)) }}
            {{- end }}
            {{- toYaml $resources | nindent 12 }}
          securityContext:
            allowPrivilegeEscalation: false
            readOnlyRootFilesystem: true
            capabilities:
              drop: [ALL]
          volumeMounts:
            - name: config
              mountPath: /etc/itrstream
              readOnly: true
            - name: tmp
              mountPath: /tmp
            {{- if $root.Values.storage.enabled }}
            - name: storage
              mountPath: /var/lib/itrstream
            {{- end }}
            {{- with $v.extraVolumeMounts }}
            {{- toYaml . | nindent 12 }}
            {{- end }}
      volumes:
        # One volume: a second one could not be mounted inside the first, which is read-only.
        - name: config
          projected:
            defaultMode: 0440
            sources:
              - configMap:
                  name: {{ include "itrstream.fullname" $root }}
              {{- $files := list (dict "secret" $secrets.kafka "dir" "kafka" "keys" (dict "password" $secrets.kafka.passwordKey))
                                 (dict "secret" $secrets.kafkaTLS "dir" "kafka-tls" "keys" (include "itrstream.tlsFiles" $secrets.kafkaTLS | fromYaml)) }}
              {{- /* The collector knows neither Redis nor authors. */}}
              {{- if $label }}
              {{- $files = concat $files (list (dict "secret" $secrets.redis "dir" "redis" "keys" (dict "password" $secrets.redis.passwordKey))
                                               (dict "secret" $secrets.redisTLS "dir" "redis-tls" "keys" (include "itrstream.tlsFiles" $secrets.redisTLS | fromYaml))
                                               (dict "secret" $secrets.authorKey "dir" "author" "keys" (dict "key" $secrets.authorKey.key))) }}
              {{- end }}
              {{- range $files }}
              {{- if .secret.name }}
              - secret:
                  name: {{ .secret.name }}
                  items:
                    {{- $dir := .dir }}
                    {{- range $file, $key := .keys }}
                    {{- if $key }}
                    - key: {{ $key }}
                      path: secrets/{{ $dir }}/{{ $file }}
                    {{- end }}
                    {{- end }}
              {{- end }}
              {{- end }}
        - name: tmp
          emptyDir: {}
        {{- if $root.Values.storage.enabled }}
        - name: storage
          persistentVolumeClaim:
            claimName: {{ include "itrstream.claim" $root }}
        {{- end }}
        {{- with $v.extraVolumes }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- with $v.nodeSelector }}
      nodeSelector:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $v.tolerations }}
      tolerations:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $v.affinity }}
      affinity:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $v.topologySpreadConstraints }}
      topologySpreadConstraints:
        {{- $selector := dict "labelSelector" (dict "matchLabels" (merge (dict "app.kubernetes.io/component" $.component) (fromYaml (include "itrstream.selector" $root)))) }}
        {{- range . }}
        {{- toYaml (list (merge (deepCopy .) (deepCopy $selector))) | nindent 8 }}
        {{- end }}
      {{- end }}
{{- end }}

{{/* The files of a TLS secret, and its keys that hold them. */}}
{{- define "itrstream.tlsFiles" -}}
{{- dict "ca.crt" .caKey "tls.crt" .certKey "tls.key" .keyKey | toYaml -}}
{{- end }}
