// The other end of the loopback wire: a neighbour that owns every address, answers ARP and ping, and sends UDP and anything unknown back to where it came from.
//
// Enough to see a Guest's network work without any network. Left out: TCP.

const ETHER_ARP = 0x0806;
const ETHER_IP = 0x0800;
const NEIGHBOUR = [0x02, 0x6c, 0x67, 0, 0, 1];

const u16 = (b: Uint8Array, at: number): number => (b[at] << 8) | b[at + 1];

/** @returns the answer to a frame, or undefined when the neighbour has nothing to say. */
export const echo = (frame: Uint8Array): Uint8Array | undefined => {
  if (frame.length < 14) return undefined;
  const answer = frame.slice();
  answer.set(frame.subarray(6, 12), 0);
  answer.set(NEIGHBOUR, 6);
  const type = u16(frame, 12);
  if (type === ETHER_ARP) {
    if (frame.length < 42 || u16(frame, 20) !== 1) return undefined;
    if (frame.subarray(28, 32).every((b, i) => b === frame[38 + i])) return undefined; // the Guest asks for its own address
    answer[21] = 2;
    answer.set(NEIGHBOUR, 22);
    answer.set(frame.subarray(38, 42), 28);
    answer.set(frame.subarray(22, 32), 32);
    return answer;
  }
  if (type === ETHER_IP) {
    if (frame.length < 34) return undefined;
    const ihl = (frame[14] & 15) * 4;
    answer.set(frame.subarray(30, 34), 26);
    answer.set(frame.subarray(26, 30), 30);
    const at = 14 + ihl;
    if (frame[23] === 1 && frame.length >= at + 8) {
      if (frame[at] !== 8) return undefined;
      answer[at] = 0;
      const sum = u16(frame, at + 2) + 0x800; // type 8 became 0: the checksum grows by as much
      const folded = (sum & 0xffff) + (sum >>> 16);
      answer[at + 2] = folded >> 8;
      answer[at + 3] = folded & 0xff;
    } else if (frame[23] === 17 && frame.length >= at + 8) {
      answer.set(frame.subarray(at + 2, at + 4), at);
      answer.set(frame.subarray(at, at + 2), at + 2);
    } else return undefined;
  }
  return answer;
};
