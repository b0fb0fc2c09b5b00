using System.Text.Json;
using System.Text.Json.Nodes;
using Gradus.Training.Gguf;
using Gradus.Training.Tests.Text;
using Gradus.Training.Text;
using Xunit;

namespace Gradus.Training.Tests.Gguf;

public sealed class GgufTokenizerImportTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    [Fact]
    public void SmolLm2sTokenizerIsThePublishedOne()
    {
        var path = SharedFixtures.Files("../models/smollm2-135m-instruct/SmolLM2-135M-Instruct.Q4_1.gguf")[0];
        using (var file = GgufFile.Open(path)) GgufTokenizerImport.Write(file, 49_152, folder.Path);
        var published = JsonNode.Parse(File.ReadAllBytes(Path.Combine(Path.GetDirectoryName(path)!, "tokenizer.json")))!.AsObject();
        var imported = JsonNode.Parse(File.ReadAllBytes(folder["tokenizer.json"]))!.AsObject();
        foreach (var (name, part) in published) Assert.True(JsonNode.DeepEquals(part, imported[name]), name);

        var tokenizer = Tokenizer.Load(folder.Path);
        var template = ChatTemplate.Load(folder.Path)!;
        var fixture = SharedFixtures.Json(SharedFixtures.Files("tokenizers/smollm2.json")[0]);
        var texts = 0;
        foreach (var entry in fixture.GetProperty("cases").EnumerateArray())
        {
            Assert.Equal(entry.GetProperty("ids").EnumerateArray().Select(id => id.GetInt32()), tokenizer.Encode(entry.GetProperty("text").GetString()!));
            texts++;
        }
        Assert.Equal(356, texts);
        var publishedTemplate = ChatTemplate.Load(Path.GetDirectoryName(path)!)!;
        foreach (var chat in fixture.GetProperty("chats").EnumerateArray())
        {
            var messages = chat.GetProperty("messages");
            Assert.Equal(publishedTemplate.Render(messages), template.Render(messages));
        }
        Assert.Equal(2, PromptEncoder.Load(folder.Path).Tokenizer.TokenId("<|im_end|>"));
    }

    [Theory]
    [InlineData("smollm2", "smollm")]
    [InlineData("qwen3", "qwen2")]
    [InlineData("deepseek_v3", "deepseek-v3")]
    public void PublishedPreTokenizersHaveLlamaCppsNames(string published, string name)
    {
        var json = JsonNode.Parse(SharedFixtures.Unzip(SharedFixtures.Files($"tokenizers/{published}/tokenizer.json.gz")[0]))!;
        Assert.Equal(name, GgufPreTokenizer.Like(json["pre_tokenizer"])?.Names[0]);
        Assert.Equal(GgufPreTokenizer.Of(name).Nfc, (string?)json["normalizer"]?["type"] == "NFC");
    }

    [Fact]
    public void AllPreTokenizersDiffer()
    {
        foreach (var name in (string[])["smollm", "gpt-2", "llama-bpe", "qwen2", "deepseek-v3", "deepseek-llm", "tekken"])
        {
            Assert.Equal(name, GgufPreTokenizer.Like(GgufPreTokenizer.Of(name).Json())?.Names[0]);
            GgufMade.Write(folder["made.gguf"], writer => GgufMade.AddBytePairs(writer, name));
            GgufImport.Convert(folder["made.gguf"], folder[name]);
            Assert.Equal([7, 2, 6], Tokenizer.Load(folder[name]).Encode("hel<c>he"));
        }
        Assert.Contains("'viking' of a GGUF file is not supported; supported: smollm,", Assert.Throws<InvalidInputException>(() => GgufPreTokenizer.Of("viking")).Message);
    }

    [Fact]
    public void SentencePieceBecomesPairsWithMergesByScore()
    {
        // Scores as SentencePiece's: the higher, the earlier. "ab" has one split, "abc" two.
        GgufMade.Write(folder["sp.gguf"], writer => GgufMade.AddSentencePiece(writer,
            ("<unk>", 2, 0), ("<s>", 3, 0), ("</s>", 3, 0), ("<0x0A>", 6, 0), ("\u2581", 1, -9), ("a", 1, -10), ("b", 1, -11), ("c", 1, -12), ("bc", 1, -1), ("ab", 1, -2), ("abc", 1, -3), ("\u2581abc", 1, -4), ("<tool>", 4, -1000)), rows: 13);
        GgufImport.Convert(folder["sp.gguf"], folder["model"]);
        var json = JsonNode.Parse(File.ReadAllBytes(Path.Combine(folder["model"], "tokenizer.json")))!;
        Assert.Equal(["b+c", "a+b", "ab+c", "a+bc", "\u2581+abc"], json["model"]!["merges"]!.AsArray().Select(pair => $"{pair![0]}+{pair[1]}"));
        Assert.Equal("<unk>", (string?)json["model"]!["unk_token"]);
        Assert.True((bool)json["model"]!["byte_fallback"]!);
        Assert.Equal("""{"type":"Sequence","normalizers":[{"type":"Prepend","prepend":"▁"},{"type":"Replace","pattern":{"String":" "},"content":"▁"}]}""", Text(json["normalizer"]!));
        Assert.Null(json["pre_tokenizer"]);
        Assert.Equal(["<unk>", "<s>", "</s>", "<tool>"], json["added_tokens"]!.AsArray().Select(token => (string)token!["content"]!));
        Assert.Equal([true, true, true, false], json["added_tokens"]!.AsArray().Select(token => (bool)token!["special"]!));
        Assert.Equal("""[{"SpecialToken":{"id":"<s>","type_id":0}},{"Sequence":{"id":"A","type_id":0}}]""", Text(json["post_processor"]!["single"]!));
        Assert.Equal("""{"<s>":{"id":"<s>","ids":[1],"tokens":["<s>"]}}""", Text(json["post_processor"]!["special_tokens"]!));
        var config = JsonNode.Parse(File.ReadAllBytes(Path.Combine(folder["model"], "tokenizer_config.json")))!;
        var tokenizer = Tokenizer.Load(folder["model"]);
        Assert.Equal([11, 4, 11, 3, 12, 2], tokenizer.Encode("abc  abc\n<tool></s>"));
        Assert.Equal([1, 11], tokenizer.Encode("abc", addSpecialTokens: true));
        Assert.Equal("abc abc\n", tokenizer.Decode([11, 11, 3]));
        Assert.Equal(("<s>", "</s>", "<unk>"), ((string?)config["bos_token"], (string?)config["eos_token"], (string?)config["unk_token"]));
    }

    [Fact]
    public void ChatTemplatesKeepTheirNames()
    {
        GgufMade.Write(folder["made.gguf"], writer =>
        {
            GgufMade.AddBytePairs(writer);
            writer.Add("tokenizer.chat_template", "default {{ messages | length }}");
            writer.Add("tokenizer.chat_templates", (string[])["tool_use"]);
            writer.Add("tokenizer.chat_template.tool_use", "tools {{ tools | length }}");
            writer.Add("tokenizer.ggml.eot_token_id", 2u);
        });
        GgufImport.Convert(folder["made.gguf"], folder["model"]);
        var template = ChatTemplate.Load(folder["model"])!;
        var chat = JsonDocument.Parse("""[{"role":"user","content":"x"}]""").RootElement;
        Assert.Equal("default 1", template.Render(chat));
        Assert.Equal("tools 1", template.Render(chat, tools: JsonDocument.Parse("[{}]").RootElement));
        Assert.Equal([1, 2], JsonNode.Parse(File.ReadAllBytes(Path.Combine(folder["model"], "generation_config.json")))!["eos_token_id"]!.AsArray().Select(id => (int)id!));
    }

    public void Dispose() => folder.Dispose();

    private static string Text(JsonNode node) => node.ToJsonString(new JsonSerializerOptions { Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping });
}
