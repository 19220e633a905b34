# monitor.sh - the account that suimon looks after the database with; MariaDB's image sources it when it makes a new one.
quote="'"
password=${MONITOR_PASSWORD//\\/\\\\}
password=${password//$quote/$quote$quote}
docker_process_sql <<SQL
CREATE USER IF NOT EXISTS suimon_monitor@'%' IDENTIFIED BY '$password';
GRANT REPLICATION CLIENT, PROCESS, SELECT, SHOW VIEW, TRIGGER ON *.* TO suimon_monitor@'%';
SQL
unset quote password
