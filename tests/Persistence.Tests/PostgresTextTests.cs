using Xunit;

namespace Gradus.Persistence.Tests;

public sealed class PostgresTextTests
{
    [Theory]
    [InlineData("plain \\u is kept", "plain \\u is kept", 0)]
    [InlineData("", "", 0)]
    [InlineData("\0\0", "\u2400\u2400", 2)]
    public void Text(string text, string expected, int count)
    {
        var replaced = 0;
        Assert.Equal((expected, count), (PostgresText.Clean(text, ref replaced), replaced));
    }

    [Theory]
    [InlineData("""{"a":"\\u0000"}""", """{"a":"\\u0000"}""", 0)]
    [InlineData("""{"a":"\\\u0000"}""", """{"a":"\\\u2400"}""", 1)]
    [InlineData("""{"a":"\ud83d\ude00"}""", """{"a":"\ud83d\ude00"}""", 0)]
    [InlineData("""{"a":"\ud83d\u0041\udE00\n"}""", """{"a":"\ufffd\u0041\ufffd\n"}""", 2)]
    [InlineData("""{"a":"\ud83d"}""", """{"a":"\ufffd"}""", 1)]
    public void Json(string json, string expected, int count)
    {
        var replaced = 0;
        Assert.Equal((expected, count), (PostgresText.CleanJson(json, ref replaced), replaced));
    }
}
