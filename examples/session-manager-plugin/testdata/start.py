import json
import os
import subprocess
import sys

import boto3

target = sys.argv[1]
ssm = boto3.client("ssm")
response = ssm.start_session(Target=target)
del response["ResponseMetadata"]
sys.exit(subprocess.call(
    ["session-manager-plugin", "AWS_SSM_START_SESSION_RESPONSE", ssm.meta.region_name, "StartSession",
     os.environ.get("AWS_PROFILE", ""), json.dumps({"Target": target}), ssm.meta.endpoint_url],
    env={**os.environ, "AWS_SSM_START_SESSION_RESPONSE": json.dumps(response)}))
