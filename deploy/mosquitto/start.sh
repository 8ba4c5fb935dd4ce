#!/bin/sh
# Write the password file from the environment, then become Mosquitto.
set -eu
: "${MQTT_USERNAME:?}" "${MQTT_PASSWORD:?}"
passwords=/mosquitto/data/passwords
umask 077
printf '%s:%s\n' "$MQTT_USERNAME" "$MQTT_PASSWORD" >"$passwords"
# hashes them in place: no password in a process list
mosquitto_passwd -U "$passwords"
if [ "$(id -u)" -eq 0 ]; then
    # Mosquitto gives up root before it reads the file
    chown mosquitto:mosquitto "$passwords"
fi
exec mosquitto -c /mosquitto/config/mosquitto.conf
