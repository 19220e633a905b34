"""What a soak watches of side 0's process: memory, descriptors, threads; and that a scrape a second is answered."""
import os
import statistics
import threading
import time

import servers

FLAT = 0.02          # of the resident size
LONG_ENOUGH = 1200   # seconds: before, the load still warms up
SLACK = 8            # descriptors: a log file more, a connection of the catalog's or the adviser's


class Vitals:
    def __init__(self, world):
        self.world = world
        self.samples = []  # (share of the time that is over, resident bytes, descriptors, threads)
        self.stop = threading.Event()
        self.slowest = 0.0
        self.suimon = world.suimons[0]
        self.pid = self.suimon.process.pid

    def descriptors(self):
        """Those that are neither a client's nor a pooled connection's."""
        metrics = self.suimon.metrics()
        pooled = servers.sum_metric(metrics, "suimon_upstream_connections") + servers.sum_metric(metrics, "suimon_client_connections")
        return len(os.listdir("/proc/%d/fd" % self.pid)) - int(pooled)

    def threads(self):
        return servers.status_field(self.pid, "Threads")

    def begin(self):
        self.at_first = self.descriptors(), self.threads()
        self.started = time.monotonic()
        self.thread = threading.Thread(target=self.watch)
        self.thread.start()

    def watch(self):
        while not self.stop.wait(1):
            share = (time.monotonic() - self.started) / self.world.options.seconds
            for i, s in enumerate(self.world.suimons):
                begin = time.monotonic()
                try:
                    s.metrics()
                    self.slowest = max(self.slowest, time.monotonic() - begin)
                except (OSError, servers.ServerError) as e:
                    if i == 0:
                        self.world.wrong("a scrape failed: %r" % e)
            self.samples.append((share, self.suimon.resident(), len(os.listdir("/proc/%d/fd" % self.pid)), self.threads()))

    def median(self, column, first, last):
        values = [s[column] for s in self.samples if first <= s[0] < last]
        return statistics.median(values) if values else 0

    def growth(self):
        before = self.median(1, 0.25, 0.5)
        return self.median(1, 0.75, 1) / before - 1 if before else 0.0

    def end(self):
        self.stop.set()
        self.thread.join()
        if self.world.options.seconds >= LONG_ENOUGH and self.growth() > FLAT:
            self.world.wrong("resident memory grew by %.1f %%" % (100 * self.growth()))
        try:
            servers.wait_until("descriptors as at first", lambda: self.descriptors() <= self.at_first[0] + SLACK, 30)
            servers.wait_until("threads as at first", lambda: self.threads() <= self.at_first[1], 30)
        except servers.ServerError as e:
            self.world.wrong("%s: %s at first, %s now" % (e, self.at_first, (self.descriptors(), self.threads())))

    def report(self):
        quarters = [round(self.median(1, q / 4, (q + 1) / 4) / 1048576, 2) for q in range(4)]
        return {"resident_mib_by_quarter": quarters, "resident_growth": round(self.growth(), 4),
                "descriptors_by_quarter": [self.median(2, q / 4, (q + 1) / 4) for q in range(4)],
                "threads_by_quarter": [self.median(3, q / 4, (q + 1) / 4) for q in range(4)],
                "slowest_scrape_s": round(self.slowest, 3)}
