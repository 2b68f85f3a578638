Terraspace.configure do |config|
end
