// Where the text of a place in code comes from: a file of the workstation when it is found, else a listing that the adapter makes.
//
// A source's name and path stay the same for a whole session, since editors remember by them. What it leaves out: finding lines (symbols) and making listings.

import type { DebugProtocol } from '@vscode/debugprotocol';
import { codeMode, type Listing, lineOf, listingRange, makeListing } from '../debugger/listing';
import type { Debugger } from '../debugger/session';
import type { Files, LaunchArguments } from './launch';

export class Sources {
  private readonly resolved = new Map<string, string | undefined>();
  private readonly listings = new Map<number, Listing>();
  private readonly pages = new Map<number, string>();
  private readonly references: Map<string, number>;
  /** Paths that the client itself named, by their last part. */
  private readonly clientPaths: Map<string, string[]>;

  /** @param before the sources of the same session before a restart: numbers and the client's paths stay. */
  constructor(
    private readonly files: Files,
    private readonly launch: LaunchArguments,
    before?: Sources,
  ) {
    this.references = before?.references ?? new Map();
    this.clientPaths = before?.clientPaths ?? new Map();
  }

  /** The client set a breakpoint there, so the file exists for it. */
  seen(path: string): void {
    const name = lastPart(path);
    const list = this.clientPaths.get(name) ?? [];
    if (!list.includes(path)) {
      list.push(path);
      this.clientPaths.set(name, list);
      this.resolved.clear();
    }
  }

  /** Files that begin with `from` now lie below `to`: the newest mapping is looked at first. */
  map(from: string, to: string): void {
    this.launch.sourceMap.unshift([from, to]);
    this.resolved.clear();
  }

  /** The path on the workstation of a file that debug information names, or undefined. */
  resolve(file: string): string | undefined {
    if (!this.resolved.has(file)) this.resolved.set(file, this.find(file));
    return this.resolved.get(file);
  }
  private find(file: string): string | undefined {
    const { files, launch } = this;
    const candidates: string[] = [];
    for (const [from, to] of launch.sourceMap) {
      const prefix = from.replace(/[\\/]$/, '');
      // `.` stands for the folder of names that are not absolute.
      if (prefix === '.' && !files.isAbsolute(file)) candidates.push(files.join(to, file));
      if (file === prefix || file.startsWith(`${prefix}/`)) candidates.push(to.replace(/[\\/]$/, '') + file.slice(prefix.length));
    }
    const relative = file.replace(/^(\.?\/)+/, '');
    const folders = [
      files.dirname(launch.program),
      ...launch.symbolFiles.map((s) => files.dirname(s.file)),
      ...(launch.sysroot === undefined ? [] : [launch.sysroot]),
    ];
    for (const folder of folders) {
      // The file may lie below the folder under any end of its path.
      const parts = relative.split('/');
      for (let i = 0; i < parts.length; i++) candidates.push(files.join(folder, parts.slice(i).join('/')));
    }
    if (files.isAbsolute(file)) candidates.unshift(file);
    const known = this.clientPaths.get(lastPart(file)) ?? [];
    const same =
      known.find((path) => path.replace(/\\/g, '/').endsWith(`/${relative}`)) ??
      (known.length === 1 && !relative.includes('/') ? known[0] : undefined);
    return same ?? candidates.find((path) => files.exists(path));
  }

  /** Source and line of a place. Every place in code has one. @param afterCall a return address, which may lie behind its function. */
  at(
    d: Debugger,
    pc: number,
    file: string | undefined,
    line: number | undefined,
    afterCall = false,
  ): { source: DebugProtocol.Source; line: number; column: number } {
    if (file !== undefined && line !== undefined && line > 0) {
      const path = this.resolve(file);
      if (path !== undefined) return { source: { name: lastPart(path), path }, line, column: 1 };
    }
    const { reference, listing } = this.listingAt(d, afterCall ? pc - 1 : pc);
    return { source: this.listingSource(listing, reference), line: lineOf(listing, pc), column: 1 };
  }
  private listingSource(listing: Listing, sourceReference: number): DebugProtocol.Source {
    return { name: `${listing.name}.lgl`, path: `${listing.name}.lgl`, sourceReference, origin: 'listing' };
  }

  private listingAt(d: Debugger, pc: number): { reference: number; listing: Listing } {
    const range = listingRange(d.programs, pc);
    const key = `${range.name} ${range.low}`;
    let reference = this.references.get(key);
    if (reference === undefined) {
      reference = this.references.size + 1;
      this.references.set(key, reference);
    }
    let listing = this.listings.get(reference);
    if (listing === undefined || !listing.addresses.includes(pc) || listing.mode !== codeMode(d.target)) {
      listing = makeListing(d.target, d.programs, d.disassembler, pc);
      this.listings.set(reference, listing);
    }
    return { reference, listing };
  }

  /** A page of finished text, such as the Host's decisions about one trap. */
  page(name: string, text: string): DebugProtocol.Source {
    const key = `page ${name}`;
    let reference = this.references.get(key);
    if (reference === undefined) {
      reference = this.references.size + 1;
      this.references.set(key, reference);
    }
    this.pages.set(reference, text);
    return { name, sourceReference: reference, origin: 'Host' };
  }
  pageText(reference: number): string | undefined {
    return this.pages.get(reference);
  }

  listing(reference: number): Listing | undefined {
    return this.listings.get(reference);
  }
  /** A listing by the name under which the client knows it: clients may forget the number between two sessions. */
  listingNamed(d: Debugger, name: string): Listing | undefined {
    const symbol = name.replace(/\.lgl$/, '');
    const address = symbol.startsWith('0x') ? Number(symbol) : d.programs.addressOf(symbol);
    return address === undefined || Number.isNaN(address) ? undefined : this.listingAt(d, address >>> 0).listing;
  }
}

export const lastPart = (path: string): string => path.split(/[\\/]/).pop() ?? path;
