using System.Diagnostics;
using System.Text.Json;
using Gradus.Training.Text;
using Xunit;

namespace Gradus.Training.Tests.Text;

/// <summary>Templates that want out, or want everything: each ends in an <see cref="InvalidInputException"/> or in nothing, and the process goes on.</summary>
public sealed class HostileTemplateTests
{
    private static readonly Dictionary<string, string> tokens = new() { ["bos_token"] = "<s>" };

    // The names of JavaScript's own machinery are no names here: an undefined value, or an error when more is asked of it.
    [Theory]
    [InlineData("{{ ''.constructor }}")]
    [InlineData("{{ ''.__proto__ }}{{ [].__proto__ }}{{ {}.__proto__ }}{{ {}['__proto__'] }}{{ {}['constructor'] }}")]
    [InlineData("{{ messages.constructor }}{{ messages[0].constructor }}{{ messages[0]['__proto__'] }}{{ range.constructor }}{{ range.prototype }}")]
    [InlineData("{{ constructor }}{{ globalThis }}{{ this }}{{ module }}{{ Function }}{{ eval }}{{ require }}{{ process }}{{ System }}{{ importNamespace }}")]
    [InlineData("{{ ''.__class__ }}{{ ''['__class__'] }}{{ namespace(a=1).constructor }}{{ strftime_now.constructor }}{{ loop }}{{ self }}")]
    public void Nothing_of_the_interpreter_can_be_named(string source) => Assert.Equal("", Render(source));

    [Theory]
    [InlineData("{{ ''.constructor.constructor('return 1')() }}")]
    [InlineData("{{ [].map.constructor('return process')() }}")]
    [InlineData("{{ messages[0].__proto__.polluted }}")]
    [InlineData("{{ range.constructor('return 1')() }}")]
    [InlineData("{{ ''.__class__.__mro__[1].__subclasses__() }}")]
    [InlineData("{{ cycler.__init__.__globals__.os.popen('id').read() }}")]
    [InlineData("{% set messages.__proto__ = 1 %}")]
    [InlineData("{{ 'a' | attr('constructor') }}")]
    [InlineData("{{ [1] | map('constructor') | list }}")]
    [InlineData("{{ [{'a': 1}] | selectattr('a', '__proto__') }}")]
    [InlineData("{{ 'a' is constructor }}")]
    [InlineData("{{ 'x'.replace('x', raise_exception) }}")]
    public void No_way_leads_out(string source) => Assert.Equal("chat_template", Assert.Throws<InvalidInputException>(() => Render(source)).Parameter);

    [Fact]
    public void A_namespace_with_the_prototypes_name_changes_nothing()
    {
        Assert.Equal("1", Render("{% set ns = namespace() %}{% set ns.__proto__ = 1 %}{% set ns.constructor = 2 %}{{ ns.__proto__ }}{{ {}.polluted }}"));
        Assert.Equal("x", Render("{{ 'X' | lower }}"));
    }

    public static TheoryData<string, string, string> Greedy => new()
    {
        { "statements", "{% set s = 'x' * 4000000 %}{% for i in range(9) %}{{ s.strip('x') }}{% endfor %}", "run 20000000 statements" },
        { "memory", "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}", "allocate 1073741824 bytes" },
        { "range", "{% for i in range(10 ** 9) %}x{% endfor %}", "a range() of more than 100000 items" },
        { "range step", "{% for i in range(0, 1, 0.0000001) %}x{% endfor %}", "range() takes whole numbers" },
        { "range back", "{% for i in range(0, -1000000000, -1) %}x{% endfor %}", "a range() of more than 100000 items" },
        { "macros", "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "nest 400 calls" },
        { "two macros", "{% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}{{ a() }}{% endmacro %}{{ a() }}", "nest 400 calls" },
        { "callers", "{% macro m() %}{% call m() %}{{ caller() }}{% endcall %}{% endmacro %}{{ m() }}", "nest 400 calls" },
        { "repeat", "{{ 'x' * 1000000000 }}", "a text of more than 4194304 characters" },
        { "repeat list", "{{ [0] * 1000000000 }}", "a list of more than 1000000 items" },
        { "doubled text", "{% set ns = namespace(s='xxxxxxxxxxxxxxxx') %}{% for i in range(60) %}{% set ns.s = ns.s + ns.s %}{% endfor %}", "a text of more than 4194304 characters" },
        { "doubled text by ~", "{% set ns = namespace(s='x') %}{% for i in range(60) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}", "a text of more than 4194304 characters" },
        { "doubled list", "{% set ns = namespace(s=[1]) %}{% for i in range(60) %}{% set ns.s = ns.s + ns.s %}{% endfor %}", "a list of more than 1000000 items" },
        { "long output", "{% set s = 'x' * 4000000 %}{{ s }}{{ s }}", "a text of more than 4194304 characters" },
        { "replace", "{% set s = 'x' * 20000 %}{{ s.replace('x', s) }}", "a text of more than 4194304 characters" },
        { "join", "{{ range(100000) | join('x' * 100000) }}", "a text of more than 4194304 characters" },
        { "indent", "{{ 'x\ny' | indent(999999999) }}", "a text of more than 4194304 characters" },
        { "JSON indent", "{{ {'a': 1} | tojson(indent=999999999) }}", "a text of more than 4194304 characters" },
        { "padding", "{{ 'x'.ljust(999999999) }}", "a text of more than 4194304 characters" },
        { "search", "{% set s = 'a' * 2000000 %}{{ ('a' * 1000000 + 'b' + 'a' * 500000) in s }}", "a search for" },
        { "split", "{% set s = 'a' * 2000000 %}{{ s.split('a' * 1000000 + 'b') }}", "a search for" },
        { "nested value", "{% set ns = namespace(x=[]) %}{% for i in range(1000) %}{% set ns.x = [ns.x] %}{% endfor %}{{ ns.x }}", "nest 400 calls" },
        { "nested JSON", "{% set ns = namespace(x=[]) %}{% for i in range(1000) %}{% set ns.x = [ns.x] %}{% endfor %}{{ ns.x | tojson }}", "nest 400 calls" },
        { "nested comparison", "{% set ns = namespace(x=[], y=[]) %}{% for i in range(1000) %}{% set ns.x = [ns.x] %}{% set ns.y = [ns.y] %}{% endfor %}{{ ns.x == ns.y }}", "nest 400 calls" },
        { "value in itself", "{% set ns = namespace() %}{% set ns.self = [ns] %}{{ ns }}", "nest 400 calls" },
        { "power", "{{ 2 ** 100000 }}", "not a finite number" },
        { "open tag", "{% if true %}", "failed" },
        { "open string", "{{ 'abc }}", "failed" },
        { "open comment", "{# abc", "failed" },
    };

    [Theory]
    [MemberData(nameof(Greedy))]
    public void A_greedy_template_ends_at_a_bound_with_its_name(string name, string source, string bound)
    {
        var refused = Assert.Throws<InvalidInputException>(() => Render(source));
        Assert.Equal((name, "chat_template"), (name, refused.Parameter));
        Assert.Contains(bound, refused.Message, StringComparison.Ordinal);
    }

    public static TheoryData<string, string> Deep => new()
    {
        { "parentheses", "{{ " + new string('(', 100_000) + "1" + new string(')', 100_000) + " }}" },
        { "lists", "{{ " + new string('[', 100_000) + new string(']', 100_000) + " }}" },
        { "negations", "{{ " + string.Concat(Enumerable.Repeat("not ", 60_000)) + "1 }}" },
        { "signs", "{{ " + string.Concat(Enumerable.Repeat("- ", 100_000)) + "1 }}" },
        { "sum", "{{ 1" + string.Concat(Enumerable.Repeat("+1", 100_000)) + " }}" },
        { "filters", "{{ 'a'" + string.Concat(Enumerable.Repeat("|e", 100_000)) + " }}" },
        { "members", "{{ a" + string.Concat(Enumerable.Repeat(".a", 100_000)) + " }}" },
        { "calls", "{{ a" + string.Concat(Enumerable.Repeat("()", 100_000)) + " }}" },
        { "conditions", string.Concat(Enumerable.Repeat("{% if 1 %}", 13_000)) + string.Concat(Enumerable.Repeat("{%endif%}", 13_000)) },
        { "open conditions", string.Concat(Enumerable.Repeat("{% if 1 %}", 26_000)) },
        { "other conditions", "{% if 0 %}" + string.Concat(Enumerable.Repeat("{% elif 0 %}", 20_000)) + "{% endif %}" },
        { "loops", string.Concat(Enumerable.Repeat("{% for i in [1] %}", 8_000)) + string.Concat(Enumerable.Repeat("{% endfor %}", 8_000)) },
        { "ternaries", "{{ " + string.Concat(Enumerable.Repeat("1 if 0 else ", 20_000)) + "1 }}" },
    };

    [Theory]
    [MemberData(nameof(Deep))]
    public void Depth_is_no_stack_overflow_on_a_small_stack(string name, string source)
    {
        Exception? problem = null;
        var thread = new Thread(() => problem = Record.Exception(() => Render(source)), 1 << 20);
        thread.Start();
        thread.Join();
        Assert.Equal((name, "chat_template"), (name, Assert.IsType<InvalidInputException>(problem).Parameter));
    }

    [Fact]
    public void A_million_conditions_are_too_long_before_they_are_parsed()
    {
        var source = string.Concat(Enumerable.Repeat("{% if true %}", 1_000_000));
        var before = GC.GetAllocatedBytesForCurrentThread();
        Assert.Equal("out_of_range", Assert.Throws<InvalidInputException>(() => new ChatTemplate(source, tokens)).Code);
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 1 << 20);
    }

    [Theory]
    [InlineData(' ', "")]
    [InlineData('\n', "")]
    [InlineData(' ', "{% generation %}")]
    [InlineData('\n', "{% generation %}")]
    public void White_space_takes_linear_time(char space, string end)
    {
        var source = new string(space, 200_000) + end;
        var clock = Stopwatch.StartNew();
        Render(source);
        Assert.InRange(clock.Elapsed.TotalSeconds, 0, 30); // quadratic: minutes
    }

    [Fact]
    public void A_template_that_refused_a_chat_serves_the_next_within_new_bounds()
    {
        var template = new ChatTemplate("{% if messages[0].n %}{{ raise_exception('no') }}{% endif %}{% for i in range(20000) %}{% endfor %}fine", tokens);
        for (var i = 0; i < 40; i++)
        {
            Assert.Throws<InvalidInputException>(() => template.Render(Json("""[{"role":"user","n":1}]""")));
            Assert.Equal("fine", template.Render(Json("""[{"role":"user"}]""")));
        }
    }

    private static string Render(string source) => new ChatTemplate(source, tokens).Render(Json("""[{"role":"user","content":"Hi"}]"""));

    private static JsonElement Json(string json) => JsonSerializer.Deserialize<JsonElement>(json);
}
