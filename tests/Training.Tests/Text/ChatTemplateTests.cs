using System.Text.Json;
using Gradus.Training.Model;
using Gradus.Training.Tasks;
using Gradus.Training.Text;
using Xunit;

namespace Gradus.Training.Tests.Text;

public sealed class ChatTemplateTests
{
    private static readonly Dictionary<string, string> tokens = new() { ["bos_token"] = "<s>", ["eos_token"] = "</s>" };

    [Fact]
    public void Published_templates_render_as_in_transformers()
    {
        var cases = 0;
        foreach (var file in SharedFixtures.All("tokenizers", "*.json"))
        {
            var fixture = SharedFixtures.Json(file);
            if (!fixture.TryGetProperty("chats", out var chats)) continue;
            var template = ChatTemplate.Load(Path.Combine(Path.GetDirectoryName(file)!, Path.GetFileNameWithoutExtension(file)))!;
            foreach (var chat in chats.EnumerateArray())
            {
                var place = $"{file}: {chat.GetProperty("case").GetString()}";
                var arguments = chat.GetProperty("arguments");
                string Render() => template.Render(
                    chat.GetProperty("messages"), Flag(arguments, "add_generation_prompt"), Flag(arguments, "continue_final_message"),
                    arguments.TryGetProperty("tools", out var tools) ? tools : null, arguments);
                // What transformers refuses has no text.
                if (chat.GetProperty("rendered").ValueKind == JsonValueKind.String) Assert.Equal($"{place}\n{chat.GetProperty("rendered").GetString()}", $"{place}\n{Render()}");
                else Assert.NotNull(Record.Exception(Render));
                cases++;
            }
        }

        Assert.True(cases >= 14, $"Only {cases} chats.");
    }

    [Theory]
    [InlineData("{{ bos_token }}{% for m in messages %}\n{{ m.role }}: {{ m['content'] | trim }}{{ eos_token }}{% endfor %}", "<s>user: Hi</s>")]
    [InlineData("  {% if true %}\nx\n  {% endif %}\ny", "x\ny")] // trim_blocks and lstrip_blocks, as transformers sets them
    [InlineData("{{ true }} {{ 1.0 }} {{ 7 // 2 }} {{ [1, 2.0, 'é', none, {'b': 1, 'a': false}] | tojson }}", "True 1.0 3 [1, 2.0, \"é\", null, {\"b\": 1, \"a\": false}]")]
    [InlineData("{{ messages | tojson }}", """[{"role": "user", "content": " Hi ", "2": 1, "1": 1.0, "<": ">"}]""")]
    [InlineData("{{ strftime_now('%d %B %Y, %-d %b, 100%%') }}", "05 March 2024, 5 Mar, 100%")]
    [InlineData("{{ level }}{{ other is defined }}", "3False")]
    [InlineData("{% set ns = namespace(n=0) %}{% for i in range(5) %}{% if i == 3 %}{% break %}{% endif %}{% set ns.n = ns.n + i %}{% endfor %}{{ ns.n }}", "3")]
    [InlineData("{% macro m(x) %}<{{ x }}>{% endmacro %}{{ m('a') }}{# comment #}{{ '{{' }}", "<a>{{")]
    public void Templates_follow_transformers_conventions(string source, string expected)
    {
        var template = new ChatTemplate(source, tokens, time: new FixedTime(new DateTimeOffset(2024, 3, 5, 1, 2, 3, TimeSpan.Zero)));
        Assert.Equal(expected, template.Render(Json("""[{"role":"user","content":" Hi ","2":1,"1":1.0,"<":">"}]"""), arguments: Json("""{"level":3}""")));
    }

    [Fact]
    public void A_template_refuses_in_its_own_words()
    {
        var template = new ChatTemplate("{{ raise_exception('Only users may speak.') }}", tokens);
        Assert.Contains("Only users may speak.", Assert.Throws<InvalidInputException>(() => template.Render(Json("""[{"role":"x"}]"""))).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("{% for i in range(100000000) %}x{% endfor %}")]
    [InlineData("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}")]
    [InlineData("{% set ns = namespace(s='xxxxxxxxxxxxxxxx') %}{% for i in range(60) %}{% set ns.s = ns.s + ns.s %}{% endfor %}{{ ns.s | length }}")]
    [InlineData("{{ 'x\ny' | indent(999999999) }}")]
    [InlineData("{% set ns = namespace(s='xxxxxxxxxxxxxxxx') %}{% for i in range(12) %}{% set ns.s = ns.s + ns.s %}{% endfor %}{{ ns.s | replace('x', ns.s) | length }}")]
    [InlineData("{% set ns = namespace(s='xxxxxxxxxxxxxxxx') %}{% for i in range(16) %}{% set ns.s = ns.s + ns.s %}{% endfor %}{{ range(100000) | join(ns.s) | length }}")]
    [InlineData("{% for i in messages %}")]
    [InlineData("{{ 1 + }}")]
    [InlineData("{{ none + 'x' }}")]
    public void A_bad_template_ends_within_its_bounds_and_leaves_the_next_chat_alone(string source)
    {
        var chat = Json("""[{"role":"user","content":"Hi"}]""");
        Assert.Throws<InvalidInputException>(() => new ChatTemplate(source, tokens).Render(chat));
        var both = new ChatTemplate("{% if messages[0].content == 'bad' %}{% for i in range(100000000) %}x{% endfor %}{% else %}fine{% endif %}", tokens);
        Assert.Equal("fine", both.Render(chat));
    }

    [Fact]
    public void After_a_chat_that_ran_into_a_bound_the_next_one_renders()
    {
        var template = new ChatTemplate("{% for i in range(messages[0].n) %}{% endfor %}fine", tokens);
        Assert.Throws<InvalidInputException>(() => template.Render(Json("""[{"role":"user","n":1000000000}]""")));
        Assert.Equal("fine", template.Render(Json("""[{"role":"user","n":3}]""")));
    }

    [Fact]
    public void Deep_nesting_in_a_template_is_no_stack_overflow()
    {
        var chat = Json("""[{"role":"user"}]""");
        Assert.Equal("1", new ChatTemplate(Nested(100), tokens).Render(chat));
        Assert.Throws<InvalidInputException>(() => new ChatTemplate(Nested(20_000), tokens).Render(chat));

        static string Nested(int depth) => "{{ " + new string('(', depth) + "1" + new string(')', depth) + " }}";
    }

    [Fact]
    public void Deep_values_are_refused_before_anything_walks_them()
    {
        var template = new ChatTemplate("{{ messages | tojson }}", tokens);
        Assert.Contains("[[", template.Render(Deep(40)), StringComparison.Ordinal);
        Assert.Equal("out_of_range", Assert.Throws<InvalidInputException>(() => template.Render(Deep(60))).Code);

        static JsonElement Deep(int depth) => JsonDocument.Parse($$"""[{"role":"user","content":{{new string('[', depth)}}{{new string(']', depth)}}}]""", new JsonDocumentOptions { MaxDepth = 200 }).RootElement;
    }

    [Theory]
    [InlineData("[]")]
    [InlineData("{}")]
    [InlineData("[1]")]
    [InlineData("""[{"role":1}]""")]
    public void Messages_must_be_a_list_of_objects_with_a_role(string messages) =>
        Assert.Throws<InvalidInputException>(() => new ChatTemplate("x", tokens).Render(Json(messages)));

    [Theory]
    [InlineData("{% for m in messages %}[{{ m.content }}]{% endfor %}", "So it is ", "[a][So it is ")]
    [InlineData("{% for m in messages %}[{{ m.content | trim }}]{% endfor %}", "So it is ", "[a][So it is")]
    public void The_final_message_is_continued(string source, string content, string expected)
    {
        var chat = JsonSerializer.SerializeToElement(new[] { new { role = "user", content = "a" }, new { role = "assistant", content } });
        Assert.Equal(expected, new ChatTemplate(source, tokens).Render(chat, continueFinalMessage: true));
        Assert.Throws<InvalidInputException>(() => new ChatTemplate("nothing", tokens).Render(chat, continueFinalMessage: true));
    }

    [Fact]
    public void A_folder_says_where_its_template_is()
    {
        var folder = Directory.CreateTempSubdirectory("gradus-template-").FullName;
        try
        {
            var chat = Json("""[{"role":"user","content":"Hi"}]""");
            Assert.Null(ChatTemplate.Load(folder));
            File.WriteAllText(Path.Combine(folder, "tokenizer_config.json"), """{"bos_token":{"content":"<b>"},"chat_template":[{"name":"default","template":"d{{ bos_token }}"},{"name":"tool_use","template":"t{{ tools | length }}"}]}""");
            Assert.Equal("d<b>", ChatTemplate.Load(folder)!.Render(chat));
            Assert.Equal("t1", ChatTemplate.Load(folder)!.Render(chat, tools: Json("[{}]")));
            File.WriteAllText(Path.Combine(folder, "chat_template.jinja"), "file{{ bos_token }}");
            Assert.Equal("file<b>", ChatTemplate.Load(folder)!.Render(chat));
            Assert.Equal("file<b>", ChatTemplate.Load(folder)!.Render(chat, tools: Json("[{}]")));
            Directory.CreateDirectory(Path.Combine(folder, "additional_chat_templates"));
            File.WriteAllText(Path.Combine(folder, "additional_chat_templates", "tool_use.jinja"), "tools {{ tools | length }}");
            Assert.Equal("tools 1", ChatTemplate.Load(folder)!.Render(chat, tools: Json("[{}]")));
            Assert.Equal("file<b>", ChatTemplate.Load(folder)!.Render(chat));
            ModelFolder.CopyTokenizer(folder, Path.Combine(folder, "copy"));
            Assert.Equal("tools 1", ChatTemplate.Load(Path.Combine(folder, "copy"))!.Render(chat, tools: Json("[{}]")));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Theory]
    [InlineData("chat_template.json", """{"chat_template":"j{{ messages|length }}"}""", "j1")]
    [InlineData("chat_template.json", """{"chat_template":[{"name":"default","template":"d"},{"name":"rag","template":"r"}]}""", "d")]
    [InlineData("chat_template.json", """{"chat_template":7}""", null)]
    [InlineData("chat_template.json", "[]", "")]
    [InlineData("chat_template.json", "{", null)]
    [InlineData("tokenizer_config.json", """{"chat_template":[{"name":"tool_use","template":"t"}]}""", null)]
    [InlineData("tokenizer_config.json", """{"chat_template":{"default":"x"}}""", null)]
    [InlineData("tokenizer_config.json", """{"chat_template":null}""", "")]
    public void A_template_file_is_read_or_refused_by_its_name(string name, string content, string? expected)
    {
        var folder = Directory.CreateTempSubdirectory("gradus-template-").FullName;
        try
        {
            File.WriteAllText(Path.Combine(folder, name), content);
            string Rendered() => ChatTemplate.Load(folder)?.Render(Json("""[{"role":"user"}]""")) ?? "";
            if (expected is not null) Assert.Equal(expected, Rendered());
            else Assert.Contains(name, Assert.Throws<InvalidInputException>(Rendered).Message, StringComparison.Ordinal);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Fact]
    public void A_tiny_prompt_is_the_same_as_text_and_as_messages()
    {
        var folder = Directory.CreateTempSubdirectory("gradus-tiny-").FullName;
        try
        {
            TinyModel.WriteWithoutWeights(folder);
            var row = BuiltIn.Task("running-sums").Generate("problems", 1, 1).First().GetProperty("prompt").GetString()!;
            var question = row["User: ".Length..row.IndexOf('\n', StringComparison.Ordinal)];
            var chat = JsonSerializer.SerializeToElement(new[] { new { role = "user", content = question } });
            Assert.Equal(row, ChatTemplate.Load(folder)!.Render(chat));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static bool Flag(JsonElement arguments, string name) => arguments.TryGetProperty(name, out var value) && value.GetBoolean();

    private static JsonElement Json(string json) => JsonSerializer.Deserialize<JsonElement>(json);

    private sealed class FixedTime(DateTimeOffset now) : TimeProvider
    {
        public override DateTimeOffset GetUtcNow() => now;

        public override TimeZoneInfo LocalTimeZone => TimeZoneInfo.Utc;
    }
}
