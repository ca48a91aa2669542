// From a flow graph to WebAssembly's nested blocks and loops, by the dominator tree.
//
// Every reducible graph has such a nesting: a merge point sits behind a block that its dominator opens, a loop header opens a loop. An edge that would make
// the graph irreducible is reported instead, and the translator leaves the region there. Source: N. Ramsey, "Beyond Relooper" (ICFP 2022), idea only.

/** What structure() learned of the nodes, all indexed by position in `order`. */
export interface Structure {
  /** Nodes in reverse post-order; order[0] is the entry. Unreachable nodes are left out. */
  order: number[];
  /** Position in `order` by node, -1 when unreachable. */
  position: Int32Array;
  /** Immediate dominator's position; 0 for the entry. */
  idom: Int32Array;
  loopHeader: boolean[];
  /** More than one forward edge comes in. */
  merge: boolean[];
  /** Children in the dominator tree. */
  children: number[][];
  /** True when the edge goes backward to a node that does not dominate its source: leave the region there. */
  irreducible: (from: number, to: number) => boolean;
}

/** @param successors by node, internal edges only. Node 0 is the entry. */
export const structure = (successors: readonly (readonly number[])[]): Structure => {
  const n = successors.length;
  const order: number[] = [];
  const state = new Uint8Array(n);
  const stack: [number, number][] = [[0, 0]];
  state[0] = 1;
  while (stack.length > 0) {
    const top = stack[stack.length - 1];
    const next = successors[top[0]][top[1]++];
    if (next === undefined) {
      order.push(top[0]);
      stack.pop();
    } else if (state[next] === 0) {
      state[next] = 1;
      stack.push([next, 0]);
    }
  }
  order.reverse();
  const position = new Int32Array(n).fill(-1);
  order.forEach((node, p) => {
    position[node] = p;
  });
  const count = order.length;
  const predecessors: number[][] = order.map(() => []);
  order.forEach((node, p) => {
    for (const s of successors[node]) predecessors[position[s]].push(p);
  });
  const idom = new Int32Array(count).fill(-1);
  idom[0] = 0;
  for (let changed = true; changed; ) {
    changed = false;
    for (let p = 1; p < count; p++) {
      let best = -1;
      for (const q of predecessors[p]) {
        if (idom[q] < 0) continue;
        if (best < 0) best = q;
        else {
          let a = q;
          while (a !== best) {
            while (a > best) a = idom[a];
            while (best > a) best = idom[best];
          }
        }
      }
      if (best !== idom[p]) {
        idom[p] = best;
        changed = true;
      }
    }
  }
  const dominates = (a: number, b: number): boolean => {
    let x = b;
    while (x > a) x = idom[x];
    return x === a;
  };
  const loopHeader = order.map(() => false);
  const merge = order.map(() => false);
  const children: number[][] = order.map(() => []);
  for (let p = 0; p < count; p++) {
    let forward = 0;
    for (const q of predecessors[p]) {
      if (q < p) forward++;
      else if (dominates(p, q)) loopHeader[p] = true;
    }
    merge[p] = forward > 1;
    if (p > 0) children[idom[p]].push(p);
  }
  return { order, position, idom, loopHeader, merge, children, irreducible: (from, to) => to <= from && !dominates(to, from) };
};
