/*
 * Talking to the Launcher's console, in two ways.
 *
 * Early: NOTIFY with the address of a string makes the Launcher print it.
 * Later: the virtio console.  A virtqueue is three arrays in memory both sides
 * see: descriptors (where the buffers are), the available ring (ours to the
 * Launcher) and the used ring (back to us).  NOTIFY with the address of the
 * queue's page says "look".
 */
#include "demo.h"

struct virtqueue {
	u32 num, irq, pfn;
	volatile struct vring_desc *desc;
	volatile struct vring_avail *avail;
	volatile struct vring_used *used;
	u16 last_used;			/* how far we have read the used ring */
};

static struct virtqueue input, output;
/*
 * Aligned, so that the first byte of its address is zero: when the user's input
 * has ended, the Launcher takes a kick of the input queue for an early string,
 * and would print that address.
 */
static struct { char text[256]; u32 length, next; } received __attribute__((aligned(512)));
u32 console_irq;

static void kick(struct virtqueue *queue)
{
	barrier();
	hypercall(LHCALL_NOTIFY, queue->pfn * PAGE_SIZE, 0, 0);
}

/* Offer one buffer.  We never have more than one on its way, so descriptor 0 will do. */
static void offer_buffer(struct virtqueue *queue, const void *buffer, u32 length, u16 flags)
{
	queue->desc[0].address = __pa(buffer);
	queue->desc[0].address_high = 0;
	queue->desc[0].length = length;
	queue->desc[0].flags = flags;
	queue->avail->ring[queue->avail->index % queue->num] = 0;
	barrier();
	queue->avail->index++;
	kick(queue);
}

static bool buffer_came_back(struct virtqueue *queue)
{
	return queue->used->index != queue->last_used;
}

/* Every line of the demo passes here. */
noinline void console_write(const char *text, u32 length)
{
	if (!output.pfn) {
		hypercall(LHCALL_NOTIFY, __pa(text), 0, 0);	/* printk's lines end in a zero byte */
		return;
	}
	if (length == 0)
		return;
	offer_buffer(&output, text, length, 0);
	while (!buffer_came_back(&output))	/* the Launcher answers before we run again */
		;
	output.last_used++;
}

static void offer_input_buffer(void)
{
	received.length = received.next = 0;
	offer_buffer(&input, received.text, sizeof(received.text), VRING_DESC_F_WRITE);
}

bool console_has_input(void)
{
	if (received.next < received.length)
		return true;
	if (!input.pfn || !buffer_came_back(&input))
		return false;
	received.length = input.used->ring[input.last_used % input.num].length;
	received.next = 0;
	input.last_used++;
	if (received.length == 0) {
		offer_input_buffer();
		return false;
	}
	return true;
}

/* Sleep until a character is there, and take it. */
noinline char console_read(void)
{
	char c;

	for (;;) {
		irq_disable();		/* else the wake-up could come between the look and the sleep */
		if (console_has_input())
			break;
		halt();
	}
	irq_enable();
	c = received.text[received.next++];
	if (received.next == received.length)
		offer_input_buffer();
	return c;
}

/* The rings lie where the virtio layout says: descriptors, available, and used on the next page. */
static void map_queue(struct virtqueue *queue, const struct lguest_vqconfig *config, u16 avail_flags)
{
	u32 used_at, pages, page;
	u8 *base = NULL;

	queue->num = config->num;
	queue->irq = config->irq;
	used_at = queue->num * sizeof(struct vring_desc) + (3 + queue->num) * sizeof(u16);
	used_at = (used_at + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1);
	pages = (used_at + 6 + queue->num * 8 + PAGE_SIZE - 1) / PAGE_SIZE;
	for (page = pages; page-- > 0;)
		base = map_device_page(config->pfn + page);
	queue->desc = (void *)base;
	queue->avail = (void *)(base + queue->num * sizeof(struct vring_desc));
	queue->used = (void *)(base + used_at);
	queue->avail->flags = avail_flags;
	queue->pfn = config->pfn;
}

/* The next virtqueue of this device that nobody has taken yet. */
static const struct lguest_vqconfig *take_queue(volatile struct lguest_device_desc *device)
{
	u32 at = 0;

	while (at + 2 <= device->config_len) {
		volatile u8 *field = &device->config[at];

		if (field[0] == VIRTIO_CONFIG_F_VIRTQUEUE) {
			field[0] |= VIRTIO_CONFIG_FIELD_SEEN;
			return (const struct lguest_vqconfig *)(field + 2);
		}
		at += 2 + field[1];
	}
	return NULL;
}

static noinline volatile struct lguest_device_desc *find_device(u8 type)
{
	u8 *page = map_device_page(boot_info.memory / PAGE_SIZE);
	volatile struct lguest_device_desc *device = (void *)page;

	while (device->type && device->type != type)
		device = (void *)((u8 *)device + sizeof(*device) + device->config_len);
	return device->type ? device : NULL;
}

noinline void start_console(void)
{
	volatile struct lguest_device_desc *device = find_device(VIRTIO_ID_CONSOLE);
	const struct lguest_vqconfig *in, *out;

	if (!device) {
		printk("13. console: no device, so NOTIFY strings it stays\n");
		return;
	}
	device->status |= VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER;
	in = take_queue(device);
	out = take_queue(device);
	if (!in || !out) {
		printk("13. console: the device lacks a queue\n");
		return;
	}
	printk("13. console: virtqueues at pages 0x%x (in, irq %u) and 0x%x (out), last words by NOTIFY string\n",
	       in->pfn, in->irq, out->pfn);
	map_queue(&output, out, VRING_AVAIL_F_NO_INTERRUPT);	/* we wait for it anyway */
	map_queue(&input, in, 0);
	console_irq = input.irq;
	lguest_data.blocked_interrupts &= ~(1u << console_irq);
	device->status |= VIRTIO_CONFIG_S_DRIVER_OK;
	offer_input_buffer();
	printk("    first words through the virtqueue\n");
}
