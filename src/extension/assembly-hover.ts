// Tells the editor which expression a hover in assembly text is about. The rule itself is in operand-at.ts.
import * as vscode from 'vscode';
import { operandAt } from './operand-at';

/** Languages whose text is assembly, our own and those of common extensions. */
export const ASSEMBLY_LANGUAGES = [
  'lguest-listing',
  'gas',
  'asm',
  'asm-collection',
  'asm-intel-x86-generic',
  'x86_64',
  'nasm',
  'disassembly',
];

export function registerAssemblyHover(): vscode.Disposable {
  return vscode.languages.registerEvaluatableExpressionProvider(ASSEMBLY_LANGUAGES, {
    provideEvaluatableExpression(document, position) {
      const found = operandAt(document.lineAt(position.line).text, position.character);
      if (!found) return undefined;
      return new vscode.EvaluatableExpression(new vscode.Range(position.line, found.start, position.line, found.end), found.expression);
    },
  });
}
