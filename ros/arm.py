"""Arms a safety gate, or works its e-stop: `python -m ros.arm [arm | estop | release] [--namespace /robot1]`.

Waits for the gate and, to arm, for what the gate waits for. Exit status 0 when it is done, 1 with a line when not.
"""

from __future__ import annotations

import argparse
import sys
import time

import rclpy
from rclpy.client import Client
from std_srvs.srv import SetBool, Trigger


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("what", choices=("arm", "estop", "release"), nargs="?", default="arm")
    parser.add_argument("--namespace", default="", help="the robot's, like /robot1")
    parser.add_argument("--timeout-s", type=float, default=60.0)
    given = parser.parse_args()
    rclpy.init()
    node = rclpy.create_node("arm", namespace=given.namespace)
    end = time.monotonic() + given.timeout_s
    arming = given.what == "arm"
    kind, service = (Trigger, "safety/arm") if arming else (SetBool, "safety/estop")
    client: Client = node.create_client(kind, service)
    answer = "no answer"
    try:
        while time.monotonic() < end:
            if not client.wait_for_service(timeout_sec=min(1.0, given.timeout_s)):
                answer = f"no safety gate at {client.service_name}"
                continue
            future = client.call_async(Trigger.Request() if arming else SetBool.Request(data=given.what == "estop"))
            rclpy.spin_until_future_complete(node, future, timeout_sec=2.0)
            if future.done() and (response := future.result()) is not None:
                answer = response.message
                if response.success:
                    print(answer)
                    return 0
            time.sleep(0.1)
        print(f"arm: {answer}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        node.destroy_node()
        rclpy.try_shutdown()


if __name__ == "__main__":
    raise SystemExit(main())
