#!/bin/sh
# What git runs as GIT_ASKPASS. ASKPASS_FOLDER (private.py) holds the questions that may be answered, one a line in
# username.asked and password.asked, and the answers. Another server's question, after a redirect, is none of them.
for answer in username password; do
    while IFS= read -r question; do
        [ "$1" = "$question" ] && exec cat "$ASKPASS_FOLDER/$answer"
    done <"$ASKPASS_FOLDER/$answer.asked"
done
exit 1
