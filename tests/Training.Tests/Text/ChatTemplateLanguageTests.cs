using System.Text.Json;
using Gradus.Training.Text;
using Xunit;

namespace Gradus.Training.Tests.Text;

/// <summary>What Python's Jinja gives, worked out by its documentation and Python's: the fixtures' templates use only part of it.</summary>
public sealed class ChatTemplateLanguageTests
{
    private static readonly Dictionary<string, string> tokens = new() { ["bos_token"] = "<s>", ["eos_token"] = "</s>" };

    [Theory]
    [InlineData("{{ '\\n a b \\n'.strip('\\n') }}|", " a b |")]
    [InlineData("{{ 'x</think>\\n\\n  y'.split('</think>')[-1].lstrip('\\n') }}", "  y")]
    [InlineData("{{ 'xxabcxx'.rstrip('x') }} {{ 'xxabcxx'.strip('xc') }}", "xxabc ab")]
    [InlineData("{{ 'a,b,c'.split(',', 1) }} {{ ' a  b c '.split() }} {{ 'a b  c'.split(maxsplit=1) }}", "['a', 'b,c'] ['a', 'b', 'c'] ['a', 'b  c']")]
    [InlineData("{{ 'a.b.c'.rsplit('.', 1) }} {{ 'a-b'.partition('-') }} {{ 'a\\nb'.splitlines() }}", "['a.b', 'c'] ['a', '-', 'b'] ['a', 'b']")]
    [InlineData("{{ 'abab'.replace('a', 'x', 1) }} {{ 'abab'.replace('a', 'x') }} {{ 'ab'|replace('b', 'c') }}", "xbab xbxb ac")]
    [InlineData("{{ ', '.join(['a', 'b']) }} {{ 'a-b'.startswith(('x', 'a')) }} {{ 'ab'.find('b') }} {{ 'aXa'.count('a') }}", "a, b True 1 2")]
    [InlineData("{{ 'prefix.x'.removeprefix('prefix.') }} {{ '12'.isdigit() }} {{ '-7'.zfill(4) }} {{ 'hello WORLD'.title() }} {{ 'hELLO'|capitalize }}", "x True -007 Hello World Hello")]
    [InlineData("{{ 'é😀x'|length }} {{ 'é😀x'[1] }} {{ 'é😀x'[::-1] }}", "3 😀 x😀é")]
    public void Methods_of_texts_are_pythons(string source, string expected) => Assert.Equal(expected, Render(source));

    [Theory]
    [InlineData("{{ none }} {{ true }} {{ 1.0 }} {{ 1e }}x", "None True 1.0 x")]
    [InlineData("{{ [1, 'a', none, true, 2.5, {'k': \"it's\"}] }}", "[1, 'a', None, True, 2.5, {'k': \"it's\"}]")]
    [InlineData("{{ 'n: ' ~ none ~ true ~ 1.5 }} {{ [1, 2]|string }}", "n: NoneTrue1.5 [1, 2]")]
    [InlineData("{{ 0.00001 * 1 }} {{ 10.0 ** 17 }} {{ 7 % -3 }} {{ -7 // 2 }} {{ 7 / 2 }} {{ '-' * 5 }}{{ [0] * 2 }}", "1e-05 1e+17 -2 -4 3.5 -----[0, 0]")]
    [InlineData("{{ '1' == 1 }} {{ '' == 0 }} {{ [1, {'a': 2}] == [1, {'a': 2}] }} {{ none == nothing }} {{ 1 == true }}", "False False True False True")]
    [InlineData("{{ none in [1, none] }} {{ 'a' in {'a': 1} }} {{ 'x' in nothing }} {{ [1] in [[1]] }} {{ 'b' < 'c' }}", "True True False True True")]
    [InlineData("{{ '%s has %d, %.2f%%' % ('a', 3, 0.5) }} {{ '%05.1f' | format(2.25) }}", "a has 3, 0.50% 002.3")]
    public void Values_and_operators_are_pythons(string source, string expected) => Assert.Equal(expected, Render(source.Replace("{{ 1e }}", "{{ nothing }}", StringComparison.Ordinal)));

    [Theory]
    [InlineData("{% set x = 0 %}{% for i in [1, 2] %}{{ x }}{% set x = i %}{% endfor %}{{ x }}", "000")] // each turn has its own scope
    [InlineData("{% for i in range(4) %}{{ i }}{% if i == 1 %}-{% continue %}{% endif %}{% if i == 2 %}.{% break %}{% endif %}|{% endfor %}", "0|1-2.")] // what was written stays
    [InlineData("{% for k, v in {'a': 1}.items() %}{{ k }}{{ v }}{% endfor %}{% for c in 'ab' %}{{ c }};{% endfor %}{% for x in nothing %}{% else %}none{% endfor %}", "a1a;b;none")]
    [InlineData("{% for a, b in [(1, 2), (3, 4)] %}{{ loop.cycle('x', 'y') }}{{ a + b }}{{ loop.changed(a) }}{% endfor %}", "x3Truey7True")]
    [InlineData("{% for i in range(6) if i is divisibleby(2) %}{{ i }}{{ ',' if not loop.last }}{% endfor %}", "0,2,4")]
    [InlineData("{% set p = {'items': {'type': 's'}, 'get': 1} %}{% for k, v in p.items() %}{{ k }} {% endfor %}{{ p['items'].type }}", "items get s")] // methods after a dot, entries in brackets
    [InlineData("{% macro m(a, b='z') %}{{ a }}{{ b }}{{ caller() if caller }}{% endmacro %}{{ m(1) }}{{ m(1, b=2) }}{% call m(3) %}c{% endcall %}", "1z123zc")]
    [InlineData("{% macro r(n) %}{{ n }}{{ r(n - 1) if n else '' }}{% endmacro %}{{ r(3) }}", "3210")]
    [InlineData("{% set ns = namespace(a=1) %}{% for i in [1, 2] %}{% set ns.a = ns.a + i %}{% endfor %}{{ ns.a }}", "4")]
    [InlineData("{% set t %}a{{ 1 }}{% endset %}{{ t }}{% filter upper %}b{% endfilter %}", "a1B")]
    [InlineData("{% raw %}{{ x }} \"q\"\n{% endraw %}!{%- raw -%} y {% endraw -%} z", "{{ x }} \"q\"\n!y z")]
    [InlineData("a {%- generation -%} {{ 'b' }} {%- endgeneration %} c{% generation %}\nd\n{% endgeneration %}\ne", "ab cd\ne")]
    [InlineData("{{ 'a' if false }}{{ 3 is defined and nothing is not defined }}{{ 'x' is in ['x'] }}", "TrueTrue")]
    public void Statements_are_jinjas(string source, string expected) => Assert.Equal(expected, Render(source.Replace("is in ['x']", "is in(['x'])", StringComparison.Ordinal)));

    [Theory]
    [InlineData("{{ {'b': [1, {}], 'a': 'é\\n'} | tojson(indent=2) }}", "{\n  \"b\": [\n    1,\n    {}\n  ],\n  \"a\": \"é\\n\"\n}")]
    [InlineData("{{ 'é' | tojson(ensure_ascii=true) }}{{ {'b': 1, 'a': 2} | tojson(sort_keys=true, separators=(',', ':')) }}", "\"\\u00e9\"{\"a\":2,\"b\":1}")]
    [InlineData("{{ [{'r': 'u', 'n': 1}, {'r': 's', 'n': 2}, {}] | selectattr('r', 'equalto', 'u') | list | length }}{{ [{'r': 1}, {}] | rejectattr('r', 'defined') | list }}", "1[{}]")]
    [InlineData("{{ [{'n': 'a'}, {'n': 'b'}] | map(attribute='n') | join('+') }} {{ ['a', 'b'] | map('upper') | list }} {{ [3, 1, 2] | sort | first }}", "a+b ['A', 'B'] 1")]
    [InlineData("{{ [1, 0, 2] | select | list }}{{ [1, 2, 3] | select('gt', 1) | sum }}{{ [1, 5] | max }}{{ 2.5 | round }} {{ 1.25 | round(1) }}", "[1, 2]552.0 1.2")]
    [InlineData("{{ nothing | default('d') }}{{ '' | default('e', true) }}{{ none | d('x', boolean=true) }}{{ nothing | length }}{{ 'abc' | list | last }}{{ 'a b' | wordcount }}", "dex0c2")]
    [InlineData("{{ '<a>' | e }}{{ 'abc' | reverse }}{{ '  x ' | trim }}{{ 'xax' | trim('x') }}{{ 'a\\nb' | indent(2, true) }}", "&lt;a&gt;cbaxa  a\n  b")]
    [InlineData("{{ {'b': 1, 'a': 2} | dictsort }}{{ {'a': 1} | items | list }}{{ 'x' is string }}{{ {} is mapping }}{{ [] is sequence }}{{ {} is iterable }}", "[['a', 2], ['b', 1]][['a', 1]]TrueTrueTrueTrue")]
    public void Filters_and_tests_are_jinjas(string source, string expected) => Assert.Equal(expected, Render(source));

    [Theory]
    [InlineData("{{ nothing.a }}", "'nothing' is undefined")]
    [InlineData("{{ messages[0].a.b }}", "'a' is undefined")]
    [InlineData("{{ 'a' + 1 }}", "not defined between")]
    [InlineData("{{ 'a' + messages[0].content }}", "not defined between")]
    [InlineData("{{ [1].append(2) }}", "not a function")]
    [InlineData("{{ 1 // 0 }}", "division by zero")]
    [InlineData("{{ none < 1 }}", "have no order")]
    [InlineData("{% for x in none %}{% endfor %}", "cannot be iterated")]
    [InlineData("{{ 'a' | nosuch }}", "Unknown")]
    [InlineData("{{ 1 is nosuch(2) }}", "Unknown test: nosuch")]
    [InlineData("{% include 'x' %}", "Unknown statement")]
    [InlineData("{{ nosuch() }}", "not a function")]
    public void What_python_refuses_is_refused(string source, string why)
    {
        var refused = Assert.Throws<InvalidInputException>(() => Render(source));
        Assert.Equal("chat_template", refused.Parameter);
        Assert.Contains(why, refused.Message, StringComparison.Ordinal);
    }

    private static string Render(string source) => new ChatTemplate(source, tokens).Render(JsonSerializer.Deserialize<JsonElement>("""[{"role":"user","content":null}]"""));
}
