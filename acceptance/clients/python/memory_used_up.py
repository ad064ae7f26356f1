"""boto3 and a server whose memory for bodies is used up: every try ends in the fault, none in a reset."""

from tries import for_sizes, updates
from world import new_guest, run


@for_sizes(200_000, 9_000_000)
def bodies_without_memory(size, count):
    guest = new_guest()
    updates(count, guest, guest.credentials, ("ServiceUnavailableException", 503), size)


run()
