/* The yardstick of the benchmarks: libpcap hands over every packet of a file, and nothing is done but adding up.
 * Without a file it says which libpcap that is. */
#include <pcap.h>
#include <stdio.h>

struct sum { unsigned long long packets, bytes; };

static void add(u_char *into, const struct pcap_pkthdr *header, const u_char *data)
{
    struct sum *sum = (struct sum *)into;
    (void)data;
    sum->packets++;
    sum->bytes += header->len;
}

int main(int count, char **words)
{
    char why[PCAP_ERRBUF_SIZE];
    struct sum sum = {0, 0};
    if (count < 2) {
        puts(pcap_lib_version());
        return 0;
    }
    pcap_t *capture = pcap_open_offline_with_tstamp_precision(words[1], PCAP_TSTAMP_PRECISION_NANO, why);
    if (!capture) {
        fprintf(stderr, "%s\n", why);
        return 1;
    }
    int end = pcap_loop(capture, -1, add, (u_char *)&sum);
    printf("%llu %llu\n", sum.packets, sum.bytes);
    pcap_close(capture);
    return end == 0 ? 0 : 1;
}
