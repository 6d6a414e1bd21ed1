#!/bin/sh
# systemd_setup.sh - run inside the fake server by systemd.sh, as root: a small app behind gunicorn, and units with one
# thing wrong each.
set -eu
app=/home/ubuntu/chemical_app/backend
mkdir -p $app /home/ubuntu/by_hand
echo 1 >$app/VERSION

cat >$app/app.py <<'END'
import os, time
here = os.path.dirname(os.path.realpath(__file__))
version = open(os.path.join(here, "VERSION")).read().strip()
if version == "broken":
    import a_module_that_is_not_there
if version == "late":
    raise RuntimeError("no such table: chemicals")
time.sleep(0.3)

def app(environ, start_response):
    bad = version == "table"
    start_response("500 Internal Server Error" if bad else "200 OK", [("X-App-Version", version)])
    return [b"OperationalError: no such table: chemicals" if bad else b"ok"]
END
ln -sf $app/app.py /home/ubuntu/by_hand/app.py
chown -R ubuntu:ubuntu /home/ubuntu

# unit NAME: a unit file from standard input, of a service.
unit() { { echo '[Service]'; cat; } >"/etc/systemd/system/$1.service"; }

unit gunicorn <<END
User=ubuntu
WorkingDirectory=$app
ExecStart=/usr/bin/gunicorn --workers 3 --bind 0.0.0.0:8000 app:app
ExecReload=/bin/kill -s HUP \$MAINPID
Environment=APP_KEY=only-for-the-app
TimeoutStopSec=10
END
unit false <<END
ExecStart=/bin/false
END
unit no-program <<END
ExecStart=/no/such/program
END
unit dies <<END
ExecStart=/bin/sh -c 'echo it begins; sleep 1; echo it cannot go on; exit 3'
END
unit dies-again <<END
ExecStart=/bin/sh -c 'sleep 0.5; echo it cannot go on; exit 3'
Restart=always
RestartSec=0
END
unit sleeper <<END
ExecStart=/usr/bin/python3 -c 'import time; time.sleep(1000)'
ExecReload=/bin/kill -s HUP \$MAINPID
END
unit bad-reload <<END
ExecStart=/bin/sleep 1000
ExecReload=/bin/false
END
unit stubborn <<END
ExecStart=/usr/bin/python3 -c 'import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(1000)'
TimeoutStopSec=1
END
unit lingers <<END
ExecStart=/usr/bin/python3 -c 'import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(1000)'
TimeoutStopSec=100
END
unit slow-reload <<END
ExecStart=/bin/sleep 1000
ExecReload=/bin/sleep 100
END
unit slow <<END
Type=notify
ExecStart=/bin/sleep 1000
TimeoutStartSec=100
END
unit once <<END
Type=oneshot
ExecStart=/bin/true
[Install]
WantedBy=multi-user.target
END
# What logind and its PAM module would do for a user's own systemd.
for kind in user-runtime-dir user; do mkdir -p "/etc/systemd/system/$kind@.service.d"; done
printf '[Service]\nExecStart=\nExecStart=/usr/bin/install -d -m 700 -o %%i -g %%i /run/user/%%i\n' \
  >/etc/systemd/system/user-runtime-dir@.service.d/test.conf
printf '[Service]\nEnvironment=XDG_RUNTIME_DIR=/run/user/%%i\n' >/etc/systemd/system/user@.service.d/test.conf
ln -sf /dev/null /etc/systemd/system/masked.service
mkdir -p /home/ubuntu/.config/systemd/user
printf '[Service]\nExecStart=/bin/sleep 1000\n' >/home/ubuntu/.config/systemd/user/own.service
chown -R ubuntu:ubuntu /home/ubuntu/.config
systemctl daemon-reload
systemctl start gunicorn.service lingers.service slow-reload.service sleeper.service "user@$(id -u ubuntu).service"
