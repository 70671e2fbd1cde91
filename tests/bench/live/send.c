/* Sends the Ethernet frames of a pcap through an interface, at a rate and for a time: send INTERFACE FILE RATE SECONDS
 *
 * Rate 0 is as fast as it goes, 0 seconds is once through the file; otherwise it begins anew at the file's end. Frames that the
 * interface cannot carry are left out. It prints how many were sent, and in how many seconds.
 *
 * The frames lie in mapped memory and go to the driver in batches, past the queueing discipline: the kernel would else spend more on
 * the sender than on the receiver that is measured. Frames that are late are sent at once, so the rate holds over the whole run. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 64, FILE_HEADER = 24, RECORD_HEADER = 16, ROOM = 8 << 20 };

static void stop(const char *what)
{
    perror(what);
    exit(1);
}

static double clock_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* The frames of a little-endian pcap that are at most `longest` bytes. */
static struct iovec *frames(const char *path, size_t longest, size_t *count)
{
    struct stat about;
    int file = open(path, O_RDONLY);
    if (file < 0 || fstat(file, &about) < 0)
        stop(path);
    char *bytes = mmap(NULL, (size_t)about.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, file, 0);
    size_t end = (size_t)about.st_size, room = end / (RECORD_HEADER + ETH_ZLEN) + BATCH;
    struct iovec *found = calloc(room, sizeof *found);
    if (bytes == MAP_FAILED || !found)
        stop(path);
    *count = 0;
    for (size_t at = FILE_HEADER; at + RECORD_HEADER <= end && *count < room;) {
        uint32_t kept;
        memcpy(&kept, bytes + at + 8, sizeof kept);
        at += RECORD_HEADER;
        if (kept > end - at)
            break;
        if (kept >= ETH_HLEN && kept <= longest)
            found[(*count)++] = (struct iovec){bytes + at, kept};
        at += kept;
    }
    return found;
}

/* A socket that sends to the interface, and the longest frame that this takes. */
static int port(const char *name, size_t *longest)
{
    int yes = 1, room = ROOM, out = socket(AF_PACKET, SOCK_RAW, 0); /* protocol 0: it receives nothing */
    struct ifreq ask = {0};
    struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_ifindex = (int)if_nametoindex(name)};
    strncpy(ask.ifr_name, name, IFNAMSIZ - 1);
    if (out < 0 || bind(out, (struct sockaddr *)&to, sizeof to) < 0 || ioctl(out, SIOCGIFMTU, &ask) < 0)
        stop(name);
    if (setsockopt(out, SOL_PACKET, PACKET_QDISC_BYPASS, &yes, sizeof yes) < 0)
        stop("PACKET_QDISC_BYPASS");
    setsockopt(out, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room);
    *longest = (size_t)ask.ifr_mtu + ETH_HLEN;
    return out;
}

int main(int count, char **words)
{
    if (count != 5) {
        fprintf(stderr, "usage: send INTERFACE FILE RATE SECONDS\n");
        return 2;
    }
    double rate = atof(words[3]), seconds = atof(words[4]);
    size_t longest, number, sent = 0;
    int out = port(words[1], &longest);
    struct iovec *all = frames(words[2], longest, &number);
    struct mmsghdr batch[BATCH] = {0};
    if (number == 0) {
        fprintf(stderr, "%s: no frames\n", words[2]);
        return 1;
    }
    double begin = clock_seconds(), passed = 0;
    while (seconds > 0 ? passed < seconds : sent < number) {
        size_t due = rate > 0 ? (size_t)(passed * rate) + 1 : sent + BATCH;
        if (seconds <= 0 && due > number)
            due = number;
        while (sent < due) {
            size_t some = due - sent < BATCH ? due - sent : BATCH;
            for (size_t index = 0; index < some; index++)
                batch[index].msg_hdr = (struct msghdr){.msg_iov = &all[(sent + index) % number], .msg_iovlen = 1};
            int taken = sendmmsg(out, batch, (unsigned)some, 0);
            if (taken < 0 && errno != EAGAIN && errno != ENOBUFS && errno != EINTR)
                stop("sendmmsg");
            sent += taken > 0 ? (size_t)taken : 0;
            if (seconds > 0 && (passed = clock_seconds() - begin) >= seconds)
                break;
        }
        passed = clock_seconds() - begin;
    }
    printf("%zu %.6f\n", sent, passed);
    return 0;
}
