//! One spelling for each meaning of Rust code: what a formatter may change, comments and documentation are taken away. It knows no file.

use proc_macro2::{Delimiter, Punct, Spacing, TokenStream, TokenTree};
use quote::ToTokens as _;
use syn::{
    Arm, Attribute, Block, Expr, ExprClosure, ImplItem, Item, Macro, Meta, PatOr, ReturnType, Stmt, Token,
    fold::{self, Fold},
    punctuated::Punctuated,
};

/// Attributes that change nothing of what the program does.
const WITHOUT_EFFECT: &[&str] = &["doc", "allow", "expect", "warn", "deny", "forbid", "must_use"];

/// Whether the item is compiled into tests alone.
pub(super) fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        Meta::List(list) => list.path.is_ident("cfg") && list.tokens.to_string() == "test",
        Meta::Path(path) => path.is_ident("test"),
        Meta::NameValue(_) => false,
    })
}

/// The item as any formatter would leave it.
pub(super) fn canonical(item: Item) -> Item {
    Formatter.fold_item(item)
}

/// Undoes the choices that a formatter makes where the tokens differ and the meaning does not.
struct Formatter;

impl Fold for Formatter {
    /// Braces around the body of an arm depend on the width of the line, and so does its comma.
    fn fold_arm(&mut self, arm: Arm) -> Arm {
        let mut arm = fold::fold_arm(self, arm);
        arm.body = Box::new(without_braces(*arm.body));
        arm.comma = Some(syn::token::Comma::default());
        arm
    }

    fn fold_expr_closure(&mut self, closure: ExprClosure) -> ExprClosure {
        let mut closure = fold::fold_expr_closure(self, closure);
        if matches!(closure.output, ReturnType::Default) {
            closure.body = Box::new(without_braces(*closure.body));
        }
        closure
    }

    /// A jump at the end of a block gets a semicolon.
    fn fold_block(&mut self, block: Block) -> Block {
        let mut block = fold::fold_block(self, block);
        if let Some(Stmt::Expr(Expr::Return(_) | Expr::Break(_) | Expr::Continue(_), semicolon)) =
            block.stmts.last_mut()
        {
            *semicolon = Some(syn::token::Semi::default());
        }
        block
    }

    fn fold_expr(&mut self, expression: Expr) -> Expr {
        match fold::fold_expr(self, expression) {
            Expr::Paren(outer) if matches!(*outer.expr, Expr::Paren(_)) => *outer.expr,
            other => other,
        }
    }

    /// What stands in a macro is formatted where it is a list of expressions.
    fn fold_macro(&mut self, mut call: Macro) -> Macro {
        if let Ok(arguments) = call.parse_body_with(Punctuated::<Expr, Token![,]>::parse_terminated) {
            let arguments: Punctuated<Expr, Token![,]> =
                arguments.into_iter().map(|argument| self.fold_expr(argument)).collect();
            call.tokens = arguments.into_token_stream();
        }
        call
    }

    fn fold_pat_or(&mut self, mut pattern: PatOr) -> PatOr {
        pattern.leading_vert = None;
        fold::fold_pat_or(self, pattern)
    }
}

fn is_jump(expression: &Expr) -> bool {
    matches!(expression, Expr::Return(_) | Expr::Break(_) | Expr::Continue(_))
}

/// The body of an arm or a closure, if it is one expression.
fn without_braces(body: Expr) -> Expr {
    match body {
        Expr::Block(mut block) if block.attrs.is_empty() && block.label.is_none() && block.block.stmts.len() == 1 => {
            match block.block.stmts.pop() {
                Some(Stmt::Expr(only, None)) => only,
                Some(Stmt::Expr(jump, Some(_))) if is_jump(&jump) => jump,
                Some(other) => {
                    block.block.stmts.push(other);
                    Expr::Block(block)
                }
                None => Expr::Block(block),
            }
        }
        other => other,
    }
}

/// The attributes of a part of an implementation.
pub(super) fn attributes_of_member(member: &ImplItem) -> &[Attribute] {
    match member {
        ImplItem::Const(member) => &member.attrs,
        ImplItem::Fn(member) => &member.attrs,
        ImplItem::Type(member) => &member.attrs,
        ImplItem::Macro(member) => &member.attrs,
        _ => &[],
    }
}

/// The text of tokens: one space between two, without documentation and without the commas that stand before an end.
pub(super) fn text(tokens: TokenStream) -> String {
    let mut text = String::new();
    write(tokens, &mut text);
    text
}

fn write(tokens: TokenStream, text: &mut String) {
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Punct(punct) if punct.as_char() == '#' && is_without_effect(tokens.peek()) => {
                tokens.next();
            }
            TokenTree::Punct(punct) if punct.as_char() == ',' && is_end(tokens.peek()) => {}
            TokenTree::Punct(punct) => {
                text.push(punct.as_char());
                if !is_joint(&punct, tokens.peek()) {
                    text.push(' ');
                }
            }
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Parenthesis => ("( ", ") "),
                    Delimiter::Brace => ("{ ", "} "),
                    Delimiter::Bracket => ("[ ", "] "),
                    Delimiter::None => ("", ""),
                };
                text.push_str(open);
                write(group.stream(), text);
                text.push_str(close);
            }
            TokenTree::Ident(word) => {
                text.push_str(&word.to_string());
                text.push(' ');
            }
            TokenTree::Literal(literal) => {
                text.push_str(&literal.to_string());
                text.push(' ');
            }
        }
    }
}

/// Signs that mean something else together than apart. Others stand together or not as the line happens to break.
const TOGETHER: &[&str] = &[
    "&&", "||", "==", "!=", "<=", ">=", "<<", ">>", "+=", "-=", "*=", "/=", "%=", "^=", "&=", "|=", "->", "=>", "::",
    "..", ".=",
];

fn is_joint(punct: &Punct, next: Option<&TokenTree>) -> bool {
    let Some(TokenTree::Punct(next)) = next else { return false };
    let pair = [punct.as_char(), next.as_char()];
    punct.spacing() == Spacing::Joint && TOGETHER.iter().any(|sign| sign.chars().eq(pair))
}

/// Whether a comma before this token says nothing. A tuple of one is not told from parentheses by this, but the types around it are.
fn is_end(next: Option<&TokenTree>) -> bool {
    match next {
        None => true,
        Some(TokenTree::Punct(punct)) => matches!(punct.as_char(), '>' | ';'),
        Some(TokenTree::Group(group)) => group.delimiter() == Delimiter::Brace,
        Some(_) => false,
    }
}

fn is_without_effect(attribute: Option<&TokenTree>) -> bool {
    let Some(TokenTree::Group(group)) = attribute else { return false };
    group.delimiter() == Delimiter::Bracket
        && matches!(group.stream().into_iter().next(), Some(TokenTree::Ident(name)) if WITHOUT_EFFECT.iter().any(|word| name == word))
}
